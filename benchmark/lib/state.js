// The state that rows about snapshots and forks save, restore and copy.

export const LIST = "x = list(range(100_000))";
export const LIST_NAME = "list of 100,000 ints";

/** Fails in Python if the state is not there. */
export const CHECK = "assert len(x) == 100_000 and x[-1] == 99_999";

/**
 * Bytes of a snapshot of a session that ran `code`.
 * @param {import("./types.js").Package["Session"]} Session
 * @param {string} code
 */
export async function measureSnapshot(Session, code) {
  const session = new Session();
  await session.execute(code);
  const { length } = await session.snapshotState();
  await session.close();
  return length;
}
