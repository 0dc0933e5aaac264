"""Classes and their objects."""

import abc
import collections
import enum
import functools
import typing


class Shape(abc.ABC):
    count = 0

    def __init__(self, name):
        self.name = name
        Shape.count += 1

    @abc.abstractmethod
    def area(self): ...

    def __repr__(self):
        return f"{type(self).__name__}({self.name!r}, {self.area():.1f})"

    def __lt__(self, other):
        return self.area() < other.area()

    def __eq__(self, other):
        return isinstance(other, Shape) and self.name == other.name

    def __hash__(self):
        return hash(self.name)


class Square(Shape):
    def __init__(self, side):
        super().__init__("square")
        self.side = side

    def area(self):
        return self.side**2

    @property
    def diagonal(self):
        return self.side * 1.414

    @diagonal.setter
    def diagonal(self, value):
        self.side = value / 1.414

    @classmethod
    def unit(cls):
        return cls(1)

    @staticmethod
    def corners():
        return 4


class Circle(Shape):
    def __init__(self, radius):
        super().__init__("circle")
        self.radius = radius

    def area(self):
        return 3.14159 * self.radius * self.radius


class Vector:
    __slots__ = ("x", "y")

    def __init__(self, x, y):
        self.x = x
        self.y = y

    def __add__(self, other):
        return Vector(self.x + other.x, self.y + other.y)

    def __mul__(self, factor):
        return Vector(self.x * factor, self.y * factor)

    __rmul__ = __mul__

    def __abs__(self):
        return (self.x * self.x + self.y * self.y) ** 0.5

    def __bool__(self):
        return bool(self.x or self.y)

    def __iter__(self):
        yield self.x
        yield self.y


class Colour(enum.Enum):
    RED = 1
    GREEN = 2
    BLUE = 3


class Access(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()


class Positive:
    def __set_name__(self, owner, name):
        self.name = "_" + name

    def __get__(self, instance, owner):
        return self if instance is None else getattr(instance, self.name)

    def __set__(self, instance, value):
        if value < 0:
            raise ValueError(self.name)
        setattr(instance, self.name, value)


class Account:
    balance = Positive()

    def __init__(self, balance):
        self.balance = balance
        self.history = []

    def move(self, amount):
        self.balance += amount
        self.history.append(amount)

    def __getattr__(self, name):
        return 0

    def __len__(self):
        return len(self.history)

    def __getitem__(self, index):
        return self.history[index]

    def __contains__(self, amount):
        return amount in self.history

    def __call__(self, amount):
        return self.move(amount)


Point = collections.namedtuple("Point", "x y")


class Row(typing.NamedTuple):
    key: str
    value: int = 0


class Node:
    def __init__(self, value):
        self.value = value
        self.next = None
        self.children = {}


def shapes():
    made = [Square(n % 7) if n % 2 else Circle(n % 5) for n in range(800)]
    made.sort()
    for shape in made:
        shape.area(), repr(shape), shape == made[0], hash(shape), isinstance(shape, Square)
        if type(shape) is Square:
            shape.diagonal = shape.diagonal + 1
    return len(set(made)), Square.unit(), Square.corners(), issubclass(Circle, Shape)


def vectors():
    total = Vector(0, 0)
    for n in range(4000):
        total = total + 2 * Vector(n, -n) * 0.5
        if not total:
            continue
        x, y = total
        total.x = x - 1
    return abs(total)


def accounts():
    account = Account(100)
    for n in range(1500):
        account.move(n % 3)
        account(1)
        account.missing, len(account), account[-1], hasattr(account, "history"), getattr(account, "balance", None)
        try:
            account.balance = -1 if n % 10 == 0 else n
        except ValueError:
            pass
    return 3 in account


def members():
    for n in range(600):
        colour = Colour(n % 3 + 1)
        if colour is Colour.RED or colour == Colour.BLUE:
            colour.name, colour.value
        Access.READ | Access.WRITE
        point = Point(n, n + 1)
        point.x + point[1]
        Row("k", n)._replace(value=3)


def lists_of_nodes():
    head = None
    for n in range(3000):
        node = Node(n)
        node.next, head = head, node
    length = 0
    while head is not None:
        length += head.value & 1
        head = head.next
    trie = Node("")
    for word in ("tea ten to inn in i a an and any " * 20).split():
        node = trie
        for letter in word:
            node = node.children.setdefault(letter, Node(letter))
    return length


def made_classes():
    for n in range(60):
        made = type(f"Made{n}", (Vector,), {"size": n, "double": lambda self: self.x * 2})
        made(1, 2).double()

        @functools.total_ordering
        class Local:
            def __init__(self, key):
                self.key = key

            def __lt__(self, other):
                return self.key < other.key

            def __eq__(self, other):
                return self.key == other.key

        Local(n) >= Local(3)


shapes(), vectors(), accounts(), members(), lists_of_nodes(), made_classes()
