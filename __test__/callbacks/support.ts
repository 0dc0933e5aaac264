import { type Callbacks, Sandbox } from "../../index.js";

/** The text that `code` prints with these callbacks. */
export async function getStdout(
  callbacks: Callbacks,
  code: string,
): Promise<string> {
  return (await new Sandbox({ callbacks }).execute(code)).stdout;
}

/** What Python sees of an error that `f` makes: class, text, name and message. */
export async function catchInPython(f: () => unknown): Promise<string[]> {
  const code = `try: await f()
except CallbackError as e: result = [type(e).__name__, str(e), e.name, e.message]`;
  const resourceLimits = { callbackTimeoutMs: 1000 };
  const sandbox = new Sandbox({ callbacks: { f }, resourceLimits });
  return (await sandbox.execute(code)).result as string[];
}

export function makeThrower(thrown: unknown): () => never {
  return () => {
    throw thrown;
  };
}
