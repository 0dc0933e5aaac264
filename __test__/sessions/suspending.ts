import { expect } from "vitest";
import {
  type Callbacks,
  type ExecutionOptions,
  Sandbox,
  Session,
  SuspendedError,
  SuspendExecution,
} from "../../index.js";
import { catchRejection } from "../helpers.js";

export const stop = () => {
  throw new SuspendExecution("stop");
};
export const never = () => new Promise(() => {});

export type ResumeOptions = Parameters<typeof Session.resume>[1];

/** The error of code that has to be suspended. */
export async function runToSuspension(
  code: string,
  callbacks: Callbacks = { stop },
  options?: ExecutionOptions,
) {
  const error = await catchRejection<SuspendedError>(
    new Sandbox({ callbacks }).execute(code, options),
  );
  expect(error, error.message).toBeInstanceOf(SuspendedError);
  return error;
}

/** The value of a suspended execution that was resumed. */
export async function resumeToValue(
  error: SuspendedError,
  options?: ResumeOptions,
) {
  const { session, result } = await Session.resume(error.checkpoint, options);
  await session.close();
  return result.value;
}
