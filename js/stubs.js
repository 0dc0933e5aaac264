import { makeLazyRegExp } from "./check.js";
import {
  escapeForPython,
  splitUnion,
  toPythonLiteral,
  toPythonString,
  toPythonType,
} from "./parameters.js";

/** @import { CallbackForShow, Parameter, Signature } from "./types.js" */

/** @typedef {{ callback?: CallbackForShow, children: Map<string, Node> }} Node */
/** @typedef {{ part: string, type: string, description?: string }} Lookup */

// The text of a `.pyi` file that declares what the sandbox adds to Python.

/**
 * Names that the stubs use without declaring them, with their modules.
 * @type {{ readonly [name: string]: "builtins" | "collections.abc" | "typing" }}
 */
const MODULES = {
  Callable: "collections.abc",
  Coroutine: "collections.abc",
  Any: "typing",
  Literal: "typing",
  overload: "typing",
  RuntimeError: "builtins",
  TypeError: "builtins",
  bool: "builtins",
  dict: "builtins",
  float: "builtins",
  int: "builtins",
  list: "builtins",
  str: "builtins",
  tuple: "builtins",
};

/** `keyword.kwlist` of Python 3.14. */
const KEYWORDS = new Set(
  (
    "False None True and as assert async await break class continue def del elif else except finally for from global " +
    "if import in is lambda nonlocal not or pass raise return try while with yield"
  ).split(" "),
);

const getPlainName = makeLazyRegExp(
  String.raw`^[\p{XID_Start}_]\p{XID_Continue}*$`,
  "u",
);
const getNotInNames = makeLazyRegExp(String.raw`[^\p{XID_Continue}]`, "gu");

/**
 * Whether a name can be written as a parameter or an attribute. Two underscores in front have meanings of their own.
 * @param {string} name
 */
function isPlainName(name) {
  return (
    getPlainName().test(name) &&
    name.normalize("NFKC") === name &&
    !name.startsWith("__") &&
    !KEYWORDS.has(name)
  );
}

/**
 * `callbacks`: `{ name, description, signature, sync }` of each, where `signature` is what makeSignature gives, or null for
 * any arguments. `stubs`: further texts, put behind, each once.
 * @param {readonly CallbackForShow[]} callbacks
 * @param {readonly string[]} stubs
 */
export function renderTypeStubs(callbacks, stubs) {
  const rest = [...new Set(stubs.map((text) => text.trim()))];
  const texts = [renderDeclarations(callbacks), ...rest].filter(Boolean);
  return texts.length === 0 ? "" : `${texts.join("\n\n")}\n`;
}

/** @param {readonly CallbackForShow[]} callbacks */
function renderDeclarations(callbacks) {
  if (callbacks.length === 0) return "";
  const root = makeTree(callbacks);
  const names = new Names(callbacks.flatMap(({ name }) => name.split(".")));
  const blocks = [
    ...renderBuiltins(names),
    ...renderMembers(root, names, false),
  ];
  return `${names.renderImports()}\n\n${joinBlocks(blocks)}`;
}

/** Which names are used, and what they are called where a callback or a part of its name is called the same. */
class Names {
  #taken;
  /** @type {Map<string, string>} */
  #imports = new Map();

  /** @param {readonly string[]} taken */
  constructor(taken) {
    this.#taken = new Set(taken);
  }

  /**
   * What to write for a name of MODULES.
   * @param {string} name
   * @returns {string}
   */
  use(name) {
    if (MODULES[name] === "builtins" && !this.#taken.has(name)) return name;
    const local = this.#imports.get(name) ?? this.takeFree(name);
    this.#imports.set(name, local);
    return local;
  }

  /**
   * A name that nothing else has.
   * @param {string} name
   */
  takeFree(name) {
    const free = findFreeName(name, (other) => this.#taken.has(other));
    this.#taken.add(free);
    return free;
  }

  /**
   * A type as a Signature has it.
   * @param {string} annotation
   */
  renderType(annotation) {
    return annotation.replace(/"(?:[^"\\]|\\.)*"|[A-Za-z]\w*/g, (token) =>
      Object.hasOwn(MODULES, token) ? this.use(token) : token,
    );
  }

  renderImports() {
    const imports = [...this.#imports].toSorted(([a], [b]) => (a < b ? -1 : 1));
    const lines = ["builtins", "collections.abc", "typing"].map((module) => {
      const texts = imports
        .filter(([name]) => MODULES[name] === module)
        .map(([name, local]) =>
          name === local ? name : `${name} as ${local}`,
        );
      return texts.length === 0
        ? ""
        : `from ${module} import ${texts.join(", ")}`;
    });
    return lines.filter(Boolean).join("\n");
  }
}

/**
 * `name`, or one made from it that is not taken.
 * @param {string} name
 * @param {(name: string) => boolean} isTaken
 */
function findFreeName(name, isTaken) {
  let free = name;
  for (let count = 1; isTaken(free); count++)
    free = count === 1 ? `_${name}` : `_${name}${count}`;
  return free;
}

// ---------------------------------------------------------------- what is always there

/** @param {Names} names */
function renderBuiltins(names) {
  const runtimeError = names.use("RuntimeError");
  const str = names.use("str");
  const listType = names.renderType("list[dict[str, Any]]");
  return [
    `class CallbackError(${runtimeError}):
    """A function of the host failed."""

    name: ${str}
    message: ${str}
    callback: ${str}`,
    `class CallbackArgumentError(CallbackError, ${names.use("TypeError")}):
    """A function of the host was not called: its arguments do not match its schema."""`,
    `class CallbackLimitError(${runtimeError}):
    """The code has called as many functions of the host as it may."""`,
    `def list_callbacks() -> ${listType}:
    """Name, description, signature and schema of each function of the host, and whether it is sync."""`,
  ];
}

// ---------------------------------------------------------------- namespaces

/**
 * Each node: `{ callback?, children }`, the children by the next part of the name.
 * @param {readonly CallbackForShow[]} callbacks
 */
function makeTree(callbacks) {
  /** @type {Node} */
  const root = { children: new Map() };
  for (const callback of callbacks) {
    let node = root;
    for (const part of callback.name.split(".")) {
      const child = node.children.get(part) ?? { children: new Map() };
      node.children.set(part, child);
      node = child;
    }
    node.callback = callback;
  }
  return root;
}

/**
 * The declarations of a node's children. Those that have no plain name are looked up: `ns["odd-name"]`.
 * @param {Node} node
 * @param {Names} names
 * @param {boolean} inClass
 * @returns {string[]}
 */
function renderMembers(node, names, inClass) {
  /** @type {string[]} */
  const blocks = [];
  /** @type {Lookup[]} */
  const lookups = [];
  for (const [part, child] of node.children) {
    const plain = isPlainName(part);
    const { callback, children } = child;
    if (children.size > 0) {
      const name = names.takeFree(toClassName(part));
      blocks.push(renderClass(name, child, names));
      if (plain) blocks.push(`${part}: ${name}`);
      else lookups.push({ part, type: name });
    } else if (callback !== undefined && plain) {
      blocks.push(renderFunction(part, callback, names, inClass));
    } else if (callback !== undefined) {
      const { description, sync } = callback;
      const returnType = sync ? "Any" : "Coroutine[Any, Any, Any]";
      const type = names.renderType(`Callable[..., ${returnType}]`);
      lookups.push({ part, type, description });
    }
  }
  return inClass ? [...blocks, ...renderLookups(lookups, names)] : blocks;
}

/** @param {string} part */
function toClassName(part) {
  const name = part.replaceAll(getNotInNames(), "_").normalize("NFKC");
  return `_${name.charAt(0).toUpperCase()}${name.slice(1)}`;
}

/** @param {string} name @param {Node} node @param {Names} names */
function renderClass(name, node, names) {
  const blocks = renderMembers(node, names, true);
  if (node.callback !== undefined)
    blocks.unshift(renderFunction("__call__", node.callback, names, true));
  return `class ${name}:\n${indent(joinBlocks(blocks))}`;
}

/** @param {readonly Lookup[]} lookups @param {Names} names */
function renderLookups(lookups, names) {
  const overload = lookups.length > 1 ? `@${names.use("overload")}\n` : "";
  return lookups.map(({ part, type, description }) => {
    const literal = `${names.use("Literal")}[${toPythonString(part)}]`;
    const head = `def __getitem__(self, name: ${literal}) -> ${type}:`;
    return `${overload}${head}${renderBody(description)}`;
  });
}

// ---------------------------------------------------------------- functions

/**
 * @param {string} name
 * @param {CallbackForShow} callback
 * @param {Names} names
 * @param {boolean} isMethod
 */
function renderFunction(name, callback, names, isMethod) {
  const { description, signature, sync } = callback;
  const parameters =
    signature === null
      ? [...(isMethod ? ["self"] : []), ...renderAnyParameters(names)]
      : renderParameters(signature, names, isMethod);
  const keyword = sync ? "def" : "async def";
  const head = `${keyword} ${name}(${parameters.join(", ")})`;
  return `${head} -> ${names.use("Any")}:${renderBody(description)}`;
}

/** @param {Names} names */
function renderAnyParameters(names) {
  const any = names.use("Any");
  return [`*args: ${any}`, `**kwargs: ${any}`];
}

/**
 * Python has no required parameters behind optional ones, and none whose name is not plain: from the first of these on,
 * all are keyword-only, so that no position means another parameter than it does for the callback.
 * @param {Signature} signature
 * @param {Names} names
 * @param {boolean} isMethod
 */
function renderParameters({ parameters, open }, names, isMethod) {
  const plain = parameters.filter(({ name }) => isPlainName(name));
  const taken = new Set(plain.map(({ name }) => name));
  const isTaken = (/** @type {string} */ name) => taken.has(name);
  const turn = findFirstKeyword(parameters);
  const [positional, keyword] = [
    parameters.slice(0, turn),
    parameters.slice(turn),
  ].map((part) =>
    part
      .filter(({ name }) => isTaken(name))
      .map((parameter) => renderParameter(parameter, names)),
  );
  const rest = open || plain.length < parameters.length;
  return [
    ...(isMethod ? renderSelf(isTaken) : []),
    ...positional,
    ...(keyword.length > 0 ? ["*", ...keyword] : []),
    ...(rest
      ? [`**${findFreeName("kwargs", isTaken)}: ${names.use("Any")}`]
      : []),
  ];
}

/** @param {readonly Parameter[]} parameters */
function findFirstKeyword(parameters) {
  let optional = false;
  const index = parameters.findIndex(({ name, required, keywordOnly }) => {
    if (keywordOnly || !isPlainName(name) || (required && optional))
      return true;
    optional ||= !required;
    return false;
  });
  return index === -1 ? parameters.length : index;
}

/**
 * The instance; by position only where a parameter is called self too.
 * @param {(name: string) => boolean} isTaken
 */
function renderSelf(isTaken) {
  return isTaken("self") ? [findFreeName("_self", isTaken), "/"] : ["self"];
}

/** @param {Parameter} parameter @param {Names} names */
function renderParameter(parameter, names) {
  const { name, required, annotation } = parameter;
  const declaration = `${name}: ${names.renderType(annotation)}`;
  return required
    ? declaration
    : `${declaration} = ${renderDefault(annotation, parameter.default)}`;
}

/**
 * The default, if it is short and of the parameter's type.
 * @param {string} annotation
 * @param {unknown} value
 */
function renderDefault(annotation, value) {
  const literal = toPythonLiteral(value);
  const fits =
    literal !== undefined &&
    splitUnion(annotation).some((type) => isAccepted(type, value, literal));
  return fits ? literal : "...";
}

/** @param {string} type @param {unknown} value @param {string} literal */
function isAccepted(type, value, literal) {
  if (type.startsWith("Literal["))
    return type.match(/"(?:[^"\\]|\\.)*"|[^[\]," ]+/g)?.includes(literal);
  const own = toPythonType(value);
  return [own, "Any"].includes(type) || (own === "int" && type === "float");
}

// ---------------------------------------------------------------- text

/**
 * What follows a function's colon: the docstring, or dots.
 * @param {string | undefined} description
 */
function renderBody(description) {
  const lines = (description ?? "").trim().split(/\r\n?|\n/);
  const [first, ...more] = lines.map((line) =>
    escapeForPython(line.trimEnd(), /"(?="|$)|(?<=")"/g),
  );
  if (more.length === 0)
    return first === "" ? " ..." : `\n${indent(`"""${first}"""`)}`;
  return `\n${indent([`"""${first}`, ...more, '"""'].join("\n"))}`;
}

/** @param {string} text */
function indent(text) {
  return text.replace(/^(?=.)/gm, "    ");
}

/**
 * Blocks of one line stand together; around others, a line stays empty.
 * @param {readonly string[]} blocks
 */
function joinBlocks(blocks) {
  return blocks.reduce((text, block, index) => {
    const apart = block.includes("\n") || blocks[index - 1].includes("\n");
    return `${text}${apart ? "\n\n" : "\n"}${block}`;
  });
}
