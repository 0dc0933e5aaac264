"""Calls that run an event loop, where they stand at the top level: they become awaits.

`asyncio.run(main())` is compiled as `await .outcome(.callee(asyncio.run)(main()))`. `.callee` puts a coroutine function of
_eryx_runner in the place of asyncio's own function, and leaves everything else as it is; `.outcome` awaits what that one
made, and hands on everything else. These names are builtins that no code can write.
"""

import ast
import asyncio

import _eryx_loop

CALLEE = ".callee"
OUTCOME = ".outcome"
# The same in code that also has an await of its own, and so runs in a task.
OUTCOME_IN_TASK = ".outcome_in_task"

_AWAITS = {ast.Await, ast.AsyncFor, ast.AsyncWith}
# Also values that are no nodes.
_LEAVES = {ast.Constant, ast.Name, ast.Load, ast.Store, ast.Del, str, int, bool, type(None)}
_LOAD = ast.Load()
_GENERIC = {ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef}
# What is evaluated at the top level itself. Where it is all of a node, the node is not here.
_FIELDS = {
    ast.FunctionDef: ("decorator_list", "args"),
    ast.AsyncFunctionDef: ("decorator_list", "args"),
    ast.ClassDef: ("decorator_list", "bases", "keywords"),
    ast.Lambda: ("args",),
    ast.arguments: ("defaults", "kw_defaults"),
    ast.AnnAssign: ("target", "value"),
    ast.TypeAlias: ("name",),
}


def may_run(code, names):
    """Whether a source with the letters run may have such a call. `names` is what it finds in its namespace."""
    if b"asyncio.run" in code or b"run_until_complete" in code:
        return True
    if b"run(" not in code:
        return False
    if b"asyncio as " in code or b"from asyncio" in code or b"Runner" in code:
        return True
    return any(value is asyncio or value is _eryx_loop.run for value in names.values())


def rewrite(tree, code, names):
    """Puts awaits in the place of the calls in `tree`."""
    calls, imports, awaits = _find(tree)
    modules, functions = _known(imports, names)
    outcome = OUTCOME_IN_TASK if awaits else OUTCOME
    for call, holder, key in calls:
        if _runs(call.func, modules, functions, b"Runner" in code):
            if type(holder) is list:
                holder[key] = _awaited(call, outcome)
            else:
                setattr(holder, key, _awaited(call, outcome))


def _find(tree):
    """What is evaluated at the top level itself: the calls, and where each is, an object and a field or a list and an index;
    the imports; whether there is an await. Without recursion: code may be nested deeper than calls may be."""
    calls, imports, awaits = [], [], False
    todo = [(tree, None, None)]
    while todo:
        node, _, _ = place = todo.pop()
        kind = type(node)
        if kind is ast.Call:
            calls.append(place)
        elif kind is ast.Import or kind is ast.ImportFrom:
            imports.append(node)
            continue
        elif kind in _AWAITS or (kind is ast.comprehension and node.is_async):
            awaits = True
        fields = _FIELDS.get(kind) or node._fields
        if kind is ast.GeneratorExp:
            node, fields = node.generators[0], ("iter",)
        elif kind in _GENERIC and node.type_params:  # among which there is no await
            fields = ("decorator_list",)
        for field in fields:
            value = getattr(node, field)
            if type(value) is list:
                todo += [(child, value, index) for index, child in enumerate(value) if type(child) not in _LEAVES]
            elif type(value) not in _LEAVES:
                todo.append((value, node, field))
    return calls, imports, awaits


def _known(imports, names):
    """The names of asyncio, and of its function run."""
    modules = {"asyncio"} | {name for name, value in names.items() if value is asyncio}
    functions = {name for name, value in names.items() if value is _eryx_loop.run}
    for node in imports:
        for alias in node.names:
            name = alias.asname or alias.name
            if type(node) is ast.Import and alias.name == "asyncio":
                modules.add(name)
            elif type(node) is ast.ImportFrom and node.module == "asyncio" and alias.name in ("run", "*"):
                functions.add("run" if name == "*" else name)
    return modules, functions


def _runs(callee, modules, functions, any_run):
    if type(callee) is ast.Name:
        return callee.id in functions
    if type(callee) is not ast.Attribute:
        return False
    if callee.attr == "run":
        return any_run or (type(callee.value) is ast.Name and callee.value.id in modules)
    return callee.attr == "run_until_complete"


def _awaited(call, outcome):
    """All at the place of the call: it is what tracebacks show."""
    function, here = call.func, _place(call.func)
    call.func = ast.Call(ast.Name(CALLEE, _LOAD, **here), [function], [], **here)
    here = _place(call)
    return ast.Await(ast.Call(ast.Name(outcome, _LOAD, **here), [call], [], **here), **here)


def _place(node):
    return {name: getattr(node, name) for name in ("lineno", "col_offset", "end_lineno", "end_col_offset")}
