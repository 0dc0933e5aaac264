/** What a row measures with. */
export interface Context {
  readonly quick: boolean;
  readonly packageUrl: URL;
  /** Runs one function per subject that is present. What fails is a result with an error. */
  measureEach(columns: Columns<Measurement>): Promise<Results>;
  measureEach<T>(
    columns: Columns<T>,
  ): Promise<{ [Id in SubjectId]?: T | Failure }>;
  describeSubjects(): { [Id in SubjectId]: SubjectReport };
}

export type SubjectId = "ours" | "pyeryx" | "python3";
export type Package = typeof import("../../index.js");
export type Columns<T> = {
  [Id in SubjectId]?: (subject: Subjects[Id]) => T | Promise<T>;
};

export interface Subjects {
  ours: Package;
  pyeryx: Pyeryx;
  python3: Python3;
}

export interface Pyeryx {
  readonly executable: string;
  readonly version: string;
  /** The answer of peers/pyeryx/<name>.py to `request`. */
  runScript(name: string, request?: object): Promise<any>;
  /** p50 in ms of a Python statement after `setup`; both see `eryx`. */
  measureStatement(
    setup: string,
    statement: string,
    options: { readonly quick: boolean },
  ): Promise<Measurement>;
}

export interface Python3 {
  readonly executable: string;
  readonly version: string;
  /** p50 in ms of starting a process that runs `code`, until it has ended. */
  measureStart(
    code: string,
    options: { readonly quick: boolean },
  ): Promise<Measurement>;
  /** What a program prints, as JSON, in a new process. */
  run(source: string): Promise<any>;
}

/** `value` is what the row compares, `parts` are named values of the same unit. */
export interface Measurement {
  value: number;
  parts?: { [name: string]: number };
  /** In place of the value in the table. */
  text?: string;
  error?: undefined;
  [detail: string]: unknown;
}

export interface Failure {
  error: string;
  value?: undefined;
  parts?: undefined;
  text?: undefined;
}

export type Results = { [Id in SubjectId]?: Measurement | Failure };

export interface Target {
  unit: string;
  /** Without a direction, no ratio is shown. */
  better?: "lower" | "higher";
  text: string;
  /** undefined if it cannot be told. `ours` was measured. */
  met(results: Met): boolean | undefined;
}

export type Met = Results & {
  ours: Measurement & { parts?: any };
};

export interface Row {
  id: string;
  name: string;
  target: Target;
  measure(context: Context): Promise<Results>;
}

export interface RowReport {
  id: string;
  name: string;
  unit: string;
  better?: "lower" | "higher";
  target: string;
  results: Results;
  met?: boolean;
  advantage?: number;
  error?: string;
}

export interface SubjectReport {
  /** Why there is no version. */
  absent?: string;
  version?: string;
  python?: string;
  error?: string;
}

export interface Report {
  date: string;
  quick: boolean;
  machine: ReturnType<typeof import("./machine.js").describeMachine> & {
    loadAtEnd?: number;
  };
  subjects: { [Id in SubjectId]: SubjectReport };
  rows: RowReport[];
}

export interface Options {
  rows?: string[];
  peers: boolean;
  quick: boolean;
  help: boolean;
}
