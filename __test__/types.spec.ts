import { describe, expectTypeOf, it } from "vitest";
import {
  CancelledError,
  type ErrorCode,
  EryxError,
  type ExecuteResult,
  ExecutionError,
  type ExecutionHandle,
  type ExecutionOptions,
  InitializationError,
  ResourceLimitError,
  ResourceLimits,
  Sandbox,
  type SandboxOptions,
  TimeoutError,
  type Value,
  VfsStorage,
  type Volume,
  versions,
} from "../index.js";

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
    expectTypeOf<{ inputs: { a: Date } }>().not.toExtend<ExecutionOptions>();
    expectTypeOf<{ env: { A: number } }>().not.toExtend<SandboxOptions>();
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

  it("of versions", () => {
    expectTypeOf(versions).toEqualTypeOf<{
      eryx: string;
      python: string;
      wasmtime: string;
      runtime: string;
    }>();
  });
});
