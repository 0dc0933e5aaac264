import { type as ark } from "arktype";
import * as v from "valibot";
import { describe, expectTypeOf, it } from "vitest";
import * as z from "zod";
import {
  type ArgumentSchema,
  type Callbacks,
  CancelledError,
  type ErrorCode,
  EryxError,
  type ExecuteResult,
  ExecutionError,
  type ExecutionHandle,
  ExecutionHandle as Handle,
  type ExecutionOptions,
  type ExecutionRecord,
  InitializationError,
  ResourceLimitError,
  ResourceLimits,
  type RuntimeLibrary,
  Sandbox,
  type SandboxOptions,
  type Session,
  TimeoutError,
  type TraceEvent,
  type Value,
  type ValueInput,
  VfsStorage,
  type Volume,
  type Warning,
  versions,
} from "../../index.js";

describe("types", () => {
  it("of the sandbox", () => {
    expectTypeOf(Sandbox).constructorParameters.toEqualTypeOf<
      [options?: SandboxOptions]
    >();
    expectTypeOf<Sandbox["execute"]>().parameters.toEqualTypeOf<
      [code: string, options?: ExecutionOptions]
    >();
    expectTypeOf<
      Sandbox["execute"]
    >().returns.resolves.toEqualTypeOf<ExecuteResult>();
    expectTypeOf<
      Sandbox["executeCancellable"]
    >().returns.toEqualTypeOf<ExecutionHandle>();
    expectTypeOf<Sandbox>().toExtend<AsyncDisposable>();
    expectTypeOf<Sandbox["typeStubs"]>().toBeString();
  });

  it("of files", () => {
    expectTypeOf<{
      vfs: VfsStorage;
      vfsMountPath: string;
      volumes: Volume[];
    }>().toExtend<SandboxOptions>();
    expectTypeOf<{ hostPath: string; guestPath: string }>().toExtend<Volume>();
    expectTypeOf<{ hostPath: string }>().not.toExtend<Volume>();
    expectTypeOf<VfsStorage["readFile"]>().toEqualTypeOf<
      (path: string) => Uint8Array
    >();
    expectTypeOf<VfsStorage["writeFile"]>().parameters.toEqualTypeOf<
      [path: string, data: string | Uint8Array]
    >();
    expectTypeOf<VfsStorage["usedBytes"]>().toBeNumber();
    expectTypeOf(VfsStorage.from).returns.toEqualTypeOf<VfsStorage>();
    expectTypeOf<
      ReturnType<VfsStorage["readdir"]>[number]["kind"]
    >().toEqualTypeOf<"file" | "directory" | "symlink">();
  });

  it("of the handle", () => {
    expectTypeOf<
      ExecutionHandle["wait"]
    >().returns.resolves.toEqualTypeOf<ExecuteResult>();
    expectTypeOf<ExecutionHandle["isRunning"]>().toBeBoolean();
    expectTypeOf<ExecutionHandle["cancel"]>().returns.toBeVoid();
  });

  it("of options", () => {
    expectTypeOf<{
      signal: AbortSignal;
      timeoutMs: null;
      inputs: { a: (number | { b: Uint8Array })[] };
      stdin: Uint8Array;
      onStdout: (chunk: string) => void;
      filename: string;
    }>().toExtend<ExecutionOptions>();
    expectTypeOf<{ callbacks: object }>().not.toExtend<SandboxOptions>();
    expectTypeOf<{ timeoutMs: string }>().not.toExtend<ExecutionOptions>();
    expectTypeOf<{ env: { A: number } }>().not.toExtend<SandboxOptions>();
  });

  it("of inputs: what works", () => {
    interface User {
      name: string;
      tags: readonly string[];
      nested?: { a: number };
    }
    const fixed = { a: [1, { b: "x" }], c: null, d: undefined } as const;
    expectTypeOf<{ inputs: User }>().toExtend<ExecutionOptions>();
    expectTypeOf<{ inputs: { a: User } }>().toExtend<ExecutionOptions>();
    expectTypeOf<{
      inputs: { a: readonly User[] };
    }>().toExtend<ExecutionOptions>();
    expectTypeOf<{ inputs: typeof fixed }>().toExtend<ExecutionOptions>();
    expectTypeOf<Value>().toExtend<ValueInput>();
    expectTypeOf<{ results: { 1: User } }>().toExtend<
      NonNullable<Parameters<typeof Session.resume>[1]>
    >();
  });

  it("of inputs: what fails", () => {
    const options: ExecutionOptions[] = [
      // @ts-expect-error a Date does not cross
      { inputs: { a: new Date() } },
      // @ts-expect-error nor in something
      { inputs: { a: [{ b: new Date() }] } },
      // @ts-expect-error no Map
      { inputs: { a: new Map() } },
      // @ts-expect-error no Set
      { inputs: { a: new Set() } },
      // @ts-expect-error no function
      { inputs: { a: () => 1 } },
      // @ts-expect-error no class
      { inputs: { a: Date } },
      // @ts-expect-error no symbol
      { inputs: { a: Symbol("s") } },
      // @ts-expect-error no promise
      { inputs: { a: Promise.resolve(1) } },
      // @ts-expect-error no regular expression
      { inputs: { a: /x/ } },
      // @ts-expect-error no URL
      { inputs: { a: new URL("x:y") } },
      // @ts-expect-error no array
      { inputs: [1] },
      // @ts-expect-error no Map
      { inputs: new Map() },
    ];
    expectTypeOf(options).toEqualTypeOf<ExecutionOptions[]>();
  });

  it("of readonly options", () => {
    expectTypeOf<{
      volumes: readonly Volume[];
      libraries: readonly RuntimeLibrary[];
      callbacks: readonly { name: string; fn: () => 1; sync: true }[];
      env: Readonly<Record<string, string>>;
    }>().toExtend<SandboxOptions>();
    const callbacks = [{ name: "f", fn: () => 1, parameters: ["a"] }] as const;
    expectTypeOf(callbacks).toExtend<Callbacks>();
  });

  it("of schemas", () => {
    interface JsonSchema {
      type: string;
      properties: object;
    }
    expectTypeOf<JsonSchema>().toExtend<ArgumentSchema>();
    expectTypeOf<{ type: "object" }>().toExtend<ArgumentSchema>();
    const schemas: ArgumentSchema[] = [
      { type: "object", properties: { a: { type: "string" } } },
      z.object({ when: z.date() }),
      z.record(z.string(), z.number()),
      z.discriminatedUnion("k", [z.object({ k: z.literal("a") })]),
      z.any(),
      v.object({ a: v.string() }),
      ark({ a: "string" }),
      // @ts-expect-error arguments are an object
      z.string(),
      // @ts-expect-error arguments are an object
      z.array(z.string()),
      // @ts-expect-error arguments are an object
      v.string(),
      // @ts-expect-error arguments are an object
      ark("string"),
    ];
    expectTypeOf(schemas).toEqualTypeOf<ArgumentSchema[]>();
    expectTypeOf<string>().not.toExtend<ArgumentSchema>();
  });

  it("of handlers that are async", () => {
    expectTypeOf<{
      onStdout: (chunk: string) => Promise<void>;
      onTrace: (event: TraceEvent) => Promise<number>;
    }>().toExtend<ExecutionOptions>();
  });

  it("of limits", () => {
    expectTypeOf<ResourceLimits["maxFuel"]>().toEqualTypeOf<
      number | bigint | null | undefined
    >();
    expectTypeOf(ResourceLimits.unlimited).returns.toEqualTypeOf<
      Required<ResourceLimits>
    >();
  });

  it("of values", () => {
    expectTypeOf<{ a: [1, null, { b: bigint }] }>().toExtend<Value>();
    expectTypeOf<Date>().not.toExtend<Value>();
    expectTypeOf<() => void>().not.toExtend<Value>();
    expectTypeOf<symbol>().not.toExtend<Value>();
  });

  it("of results", () => {
    expectTypeOf<ExecuteResult["result"]>().toEqualTypeOf<Value | undefined>();
    expectTypeOf<ExecuteResult["stdoutBytes"]>().toEqualTypeOf<Uint8Array>();
    expectTypeOf<ExecuteResult["fuelConsumed"]>().toEqualTypeOf<
      bigint | undefined
    >();
    expectTypeOf<ExecuteResult["valueError"]>().toEqualTypeOf<
      string | undefined
    >();
    expectTypeOf<ExecuteResult>().toExtend<ExecutionRecord>();
    expectTypeOf<EryxError>().toExtend<ExecutionRecord>();
    expectTypeOf<ExecutionRecord["warnings"]>().toEqualTypeOf<
      readonly Warning[]
    >();
  });

  it("of errors", () => {
    for (const Class of [
      ExecutionError,
      TimeoutError,
      CancelledError,
      ResourceLimitError,
      InitializationError,
    ])
      expectTypeOf(Class.prototype).toExtend<EryxError>();
    expectTypeOf<EryxError>().toExtend<Error>();
    expectTypeOf<EryxError["code"]>().toEqualTypeOf<ErrorCode>();
    expectTypeOf<ExecutionError["exitCode"]>().toEqualTypeOf<
      number | undefined
    >();
    expectTypeOf<ResourceLimitError["limit"]>().toEqualTypeOf<
      keyof ResourceLimits
    >();
  });

  it("of errors that users make", () => {
    expectTypeOf(
      new TimeoutError("x", { cause: 1, stdout: "a" }),
    ).toExtend<EryxError>();
    expectTypeOf(new EryxError()).toExtend<Error>();
    expectTypeOf(
      new ResourceLimitError("x", { limit: "maxFuel", fuelConsumed: 1n }),
    ).toExtend<EryxError>();
    expectTypeOf(
      new ExecutionError("x", { pythonType: "ValueError" }),
    ).toExtend<EryxError>();
    // @ts-expect-error no such field
    expectTypeOf(new TimeoutError("x", { limit: 1 })).toExtend<EryxError>();
    // @ts-expect-error made by executeCancellable() only
    expectTypeOf(() => new Handle()).toBeFunction();
  });

  it("of versions", () => {
    expectTypeOf(versions).toEqualTypeOf<{
      eryx: string;
      python: string;
      wasmtime: string;
      runtime: string;
    }>();
  });
});
