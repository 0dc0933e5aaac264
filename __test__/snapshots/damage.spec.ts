import { beforeAll, describe, expect, it } from "vitest";
import { Session, type SuspendedError, SuspendExecution } from "../../index.js";
import { catchRejection } from "../helpers.js";
import * as support from "./support.js";
import {
  assemble,
  catchSnapshotError,
  changeCopy,
  forgeCopy,
  makeRandom,
  takeApart,
} from "./support.js";

const NO_SNAPSHOT = "these bytes are no snapshot";
const DAMAGED = "it is damaged";
/** What a forgery may end with. Anything else, or no end at all, is a defect. */
const ENDS = [
  "ERYX_EXECUTION",
  "ERYX_TIMEOUT",
  "ERYX_RESOURCE_LIMIT",
  "ERYX_SNAPSHOT",
];
const quick = { resourceLimits: { executionTimeoutMs: 300 } };

let good: Uint8Array;
let checkpoint: Uint8Array;
let session: Session;

beforeAll(async () => {
  const source = new Session();
  await source.execute(
    "x = 5\nimport json\nwords = [str(n) for n in range(5000)]",
  );
  good = await source.snapshotState();
  const stop = () => {
    throw new SuspendExecution("stop");
  };
  const suspending = new Session({ callbacks: { stop } });
  const error = await catchRejection<SuspendedError>(
    suspending.execute("await stop(1)"),
  );
  checkpoint = error.checkpoint;
  session = new Session();
  await session.execute("y = [1, 2]");
});

const refusal = (bytes: Uint8Array) =>
  catchSnapshotError(session.restoreState(bytes));

async function isUntouched() {
  expect((await session.execute("[y, 'x' in globals()]")).value).toEqual([
    [1, 2],
    false,
  ]);
}

/** Restores and runs what may be anything. Says how it ended. */
async function tried(bytes: Uint8Array): Promise<string> {
  await using victim = new Session(quick);
  try {
    await victim.restoreState(bytes);
    await victim.execute(
      "import json, re\nlen(json.dumps(words)), x, re.findall('1', '1')\nd = {n: [n] for n in range(3000)}",
    );
    return "fine";
  } catch (error) {
    const { code } = error as { code: string };
    expect(ENDS, String(error)).toContain(code);
    return code;
  }
}

async function othersWork() {
  await isUntouched();
  const other = new Session();
  await other.restoreState(good);
  expect((await other.execute("[x, len(words)]")).value).toEqual([5, 5000]);
  await other.close();
}

describe("damage that the checksum finds", () => {
  it("cut at many lengths", async () => {
    const lengths = [
      0,
      1,
      7,
      8,
      9,
      31,
      32,
      39,
      40,
      71,
      72,
      73,
      104,
      105,
      200,
      good.length - 33,
      good.length - 32,
      good.length - 31,
      good.length - 1,
    ];
    const random = makeRandom(1);
    for (let n = 0; n < 30; n++) lengths.push(random(good.length));
    for (const length of lengths)
      expect(await refusal(good.subarray(0, length)), `${length}`).toBe(
        length < 8 ? NO_SNAPSHOT : DAMAGED,
      );
    await isUntouched();
  });

  it("each byte of the header", async () => {
    for (let at = 0; at < support.HEADER + 130; at++) {
      const bytes = changeCopy(good, (copy) => (copy[at] ^= 1 << (at % 8)));
      expect(await refusal(bytes), `${at}`).toBe(
        at < 8 ? NO_SNAPSHOT : DAMAGED,
      );
    }
    await isUntouched();
  });

  it("random bytes of the body and of the checksum", async () => {
    const random = makeRandom(2);
    for (let n = 0; n < 100; n++) {
      const at =
        n < 32
          ? good.length - 1 - n
          : support.HEADER + random(good.length - support.HEADER);
      const bytes = changeCopy(good, (copy) => (copy[at] ^= 1 + random(255)));
      expect(await refusal(bytes), `${at}`).toBe(DAMAGED);
    }
    await isUntouched();
  });

  it.each<[string, () => Uint8Array, string]>([
    ["nothing", () => new Uint8Array(0), NO_SNAPSHOT],
    ["zeros", () => new Uint8Array(100_000), NO_SNAPSHOT],
    [
      "text",
      () => Buffer.from("PK\u0003\u0004 this is something else"),
      NO_SNAPSHOT,
    ],
    ["the magic alone", () => good.slice(0, 8), DAMAGED],
    ["bytes behind it", () => Buffer.concat([good, Buffer.alloc(1)]), DAMAGED],
    ["it twice", () => Buffer.concat([good, good]), DAMAGED],
    [
      "bytes before it",
      () => Buffer.concat([Buffer.alloc(1), good]),
      NO_SNAPSHOT,
    ],
    [
      "its parts in another order",
      () =>
        Buffer.concat([
          good.slice(0, 300),
          good.slice(600, 900),
          good.slice(300, 600),
          good.slice(900),
        ]),
      DAMAGED,
    ],
  ])("%s", async (_, bytes, message) => {
    expect(await refusal(bytes())).toBe(message);
    await isUntouched();
  });
});

describe("with the right checksum", () => {
  it("what is put together rightly is restored", async () => {
    const whole = takeApart(good);
    const packed = Buffer.concat([whole.packed, support.makePages(0, 1)]);
    // One more page, in memory that nobody uses.
    const size = Number(whole.header.readBigUInt64LE(support.MEMORY));
    const runs: [number, number][] = [...whole.runs, [size / 4096, 1]];
    const header = support.changeCopy(whole.header, (copy) => {
      copy.writeBigUInt64LE(BigInt(size + 65_536), support.MEMORY);
    });
    expect(assemble(whole)).toEqual(Buffer.from(good));
    const more = assemble({ ...whole, header, runs, packed });
    expect(await tried(more)).toBe("fine");
  });

  it.each<[string, (body: Buffer) => void, string]>([
    [
      "an older format",
      (body) => body.writeUInt32LE(0, support.VERSION),
      "it has format 0, this version reads 3",
    ],
    [
      "a newer format",
      (body) => body.writeUInt32LE(4, support.VERSION),
      "it has format 4, this version reads 3",
    ],
    ["another kind", (body) => body.writeUInt32LE(2, support.KIND), DAMAGED],
    [
      "another runtime",
      (body) => (body[support.RUNTIME] ^= 1),
      "it was made with another Python runtime",
    ],
    ["no memory", (body) => body.writeBigUInt64LE(0n, support.MEMORY), DAMAGED],
    ["half a page of memory", (body) => (body[support.MEMORY] = 1), DAMAGED],
    [
      "absurd memory",
      (body) => body.writeBigUInt64LE(2n ** 64n - 65536n, support.MEMORY),
      DAMAGED,
    ],
    [
      "more memory than there is",
      (body) => body.writeBigUInt64LE(2n ** 32n + 65536n, support.MEMORY),
      DAMAGED,
    ],
    [
      "more runs than bytes",
      (body) => body.writeUInt32LE(2 ** 32 - 1, support.RUNS),
      DAMAGED,
    ],
    [
      "one run less",
      (body) =>
        body.writeUInt32LE(body.readUInt32LE(support.RUNS) - 1, support.RUNS),
      DAMAGED,
    ],
    [
      "a host part beyond the end",
      (body) => body.writeUInt32LE(2 ** 32 - 1, support.HOST_SIZE),
      DAMAGED,
    ],
    [
      "no host part",
      (body) => body.writeUInt32LE(0, support.HOST_SIZE),
      DAMAGED,
    ],
    [
      "absurd packed pages",
      (body) => body.writeBigUInt64LE(2n ** 64n - 1n, support.PACKED_SIZE),
      DAMAGED,
    ],
    [
      "an absurd tree",
      (body) => body.writeBigUInt64LE(2n ** 64n - 1n, support.TREE_SIZES),
      DAMAGED,
    ],
    [
      "a tree that is cut off",
      (body) => {
        const size = body.readBigUInt64LE(support.TREE_SIZES);
        body.writeBigUInt64LE(size - 1n, support.TREE_SIZES);
      },
      DAMAGED,
    ],
  ])("%s is refused", async (_, change, message) => {
    expect(await refusal(forgeCopy(good, change))).toBe(message);
    await isUntouched();
  });

  it("4 GiB of memory are refused by the limit", async () => {
    const bytes = forgeCopy(good, (body) =>
      body.writeBigUInt64LE(2n ** 32n, support.MEMORY),
    );
    expect(await refusal(bytes)).toBe(
      "its memory of 4294967296 bytes is more than the memory limit of 134217728 bytes",
    );
  });

  it("a checkpoint is no snapshot, and the reverse", async () => {
    expect(await refusal(checkpoint)).toBe(
      "it is a checkpoint: use Session.resume()",
    );
    expect(await catchSnapshotError(Session.resume(good))).toBe(
      "it is a snapshot of a session, not a checkpoint",
    );
    await isUntouched();
  });

  it.each<[string, [number, number][], number]>([
    ["an empty run", [[5, 0]], 0],
    ["a run beyond the memory", [[2 ** 20 - 1, 2]], 2],
    ["a run that wraps", [[2 ** 32 - 1, 2 ** 32 - 1]], 2],
    ["a run of 16 TiB", [[0, 2 ** 32 - 1]], 2],
    [
      "runs that overlap",
      [
        [5, 2],
        [6, 2],
      ],
      4,
    ],
    [
      "runs in the wrong order",
      [
        [9, 1],
        [5, 1],
      ],
      2,
    ],
    [
      "the same run twice",
      [
        [5, 1],
        [5, 1],
      ],
      2,
    ],
    ["fewer pages than the runs say", [[5, 3]], 2],
    ["more pages than the runs say", [[5, 1]], 2],
    ["no run but a page", [], 1],
  ])("%s is refused", async (_, runs, count) => {
    const packed = support.makePages(0, Math.max(1, count));
    expect(await refusal(assemble({ ...takeApart(good), runs, packed }))).toBe(
      DAMAGED,
    );
    await isUntouched();
  });

  it("a bomb of packed pages is refused before it grows", async () => {
    const runs: [number, number][] = [[5, 1]];
    const packed = support.makePages(7, 200_000);
    expect(await refusal(assemble({ ...takeApart(good), runs, packed }))).toBe(
      DAMAGED,
    );
  });

  it("pages that are no zstd are refused", async () => {
    for (const packed of [
      Buffer.alloc(0),
      Buffer.from("no zstd at all"),
      Buffer.alloc(5000, 0xff),
    ])
      expect(
        await refusal(assemble({ ...takeApart(good), packed })),
        `${packed.length}`,
      ).toBe(DAMAGED);
    await isUntouched();
  });

  it.each([0, 0x41, 0xff])(
    "pages full of %i harm only the sandbox they are in",
    async (byte) => {
      const whole = takeApart(good);
      const memory =
        Number(whole.header.readBigUInt64LE(support.MEMORY)) / 4096;
      const tables: [number, number][][] = [
        [[0, memory]],
        [[0, 1]],
        [[memory - 1, 1]],
        [[0, memory >> 1]],
        [[memory >> 1, memory >> 2]],
        whole.runs,
      ];
      for (const runs of tables) {
        const count = runs.reduce(
          (sum, [, pages]) => sum + (pages % support.XORED),
          0,
        );
        const packed = support.makePages(byte, count);
        await tried(assemble({ ...whole, runs, packed }));
        const marked = runs.map(([first, pages]): [number, number] => [
          first,
          (pages % support.XORED) + support.XORED,
        ]);
        await tried(assemble({ ...whole, runs: marked, packed }));
      }
      await othersWork();
    },
  );

  it("flipped bytes of the pages harm only the sandbox they are in", async () => {
    const random = makeRandom(3);
    const { packed, trees } = takeApart(good);
    const first = good.length - support.CHECKSUM - trees.length - packed.length;
    const ends = new Map<string, number>();
    for (let round = 0; round < 60; round++) {
      const bytes = forgeCopy(good, (body) => {
        for (let n = 0; n <= round % 4; n++)
          body[first + 20 + random(packed.length - 20)] ^= 1 << random(8);
      });
      const end = await tried(bytes);
      ends.set(end, (ends.get(end) ?? 0) + 1);
    }
    expect(ends.size).toBeGreaterThan(1);
    await othersWork();
  });

  it("flipped bytes of the host's part are refused or do no harm", async () => {
    const { host } = takeApart(good);
    for (let at = 0; at < host.length; at++) {
      const bits = at % 2 === 0 ? 1 : 0xff;
      await tried(
        forgeCopy(good, (body) => (body[support.HEADER + at] ^= bits)),
      );
    }
    await othersWork();
  });

  it.each<[string, Buffer]>([
    ["nothing", Buffer.alloc(0)],
    ["zeros", Buffer.alloc(64)],
    ["0xff", Buffer.alloc(64, 0xff)],
    ["lists in lists", Buffer.alloc(100_000, Buffer.from([0x6c, 1, 0, 0, 0]))],
    ["a list of 4 billion", Buffer.from([0x6c, 0xff, 0xff, 0xff, 0xff])],
  ])("a host's part of %s is refused", async (_, host) => {
    expect(await refusal(assemble({ ...takeApart(good), host }))).toBe(DAMAGED);
    await isUntouched();
  });

  it("a checkpoint with flipped bytes ends with an error, or goes on", async () => {
    const random = makeRandom(4);
    for (let round = 0; round < 40; round++) {
      const bytes = forgeCopy(checkpoint, (body) => {
        const at =
          round < 25
            ? support.HEADER + random(takeApart(checkpoint).host.length)
            : support.HEADER + random(body.length - support.HEADER);
        body[at] ^= 1 << random(8);
      });
      const [end] = await Promise.allSettled([
        Session.resume(bytes, { ...quick, results: { 1: 1 } }),
      ]);
      if (end.status === "rejected")
        expect(ENDS, String(end.reason)).toContain(end.reason.code);
    }
    await othersWork();
  });

  it("an interpreter that never comes back is ended by the limit, and by close", async () => {
    const hold =
      "import _eryx_driver\ndef hold(_):\n    while True: pass\n_eryx_driver._ORDERS['rebind'] = hold";
    const source = new Session();
    await source.execute(hold);
    const bytes = await source.snapshotState();
    await Promise.allSettled([new Session(quick).restoreState(bytes)]);
    const victim = new Session({
      resourceLimits: { executionTimeoutMs: null },
    });
    const restoring = Promise.allSettled([victim.restoreState(bytes)]);
    await new Promise((resolve) => setTimeout(resolve, 50));
    await victim.close();
    await restoring;
    await othersWork();
  });

  it("many refusals leave nothing behind", async () => {
    const bytes = assemble({ ...takeApart(good), packed: Buffer.from("x") });
    for (let round = 0; round < 150; round++) await refusal(bytes);
    await othersWork();
  });
});
