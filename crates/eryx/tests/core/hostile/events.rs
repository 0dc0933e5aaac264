//! Code that attacks the tracer, or sends events by hand.

use eryx::ExecutionOptions;

use super::callbacks::{SOON, endured_by, unlimited};
use crate::support::callbacks::succeeded;
use crate::support::{alone, within};

fn traced() -> ExecutionOptions {
    let mut options = within(SOON);
    options.trace = true;
    options
}

#[tokio::test]
async fn events_by_hand() {
    let sandbox = unlimited();
    for events in [
        "None",
        "5",
        "{}",
        "[5, None, [], [0], [0, 1, 'f', None, 5]]",
        "[[6, 1, 'f', None], [-1, 1, 'f', None], [0, -1, 'f', None], [0, 2**32, 'f', None], [2**70, 1, 'f', None]]",
        "[[0.0, 1, 'f', None]]",
        "[None] * 1_000_000",
        "['x' * 4_000_000]",
        "['x' * 5_000_000]",
    ] {
        let code = format!("import _eryx\n_eryx.trace({events})\n'done'");
        let outcome = endured_by(&sandbox, &code, traced()).await;
        let result = succeeded(outcome);
        assert_eq!(result.value, Some("done".into()), "{events}");
        assert_eq!(result.output.trace.len(), 5, "{events}");
        // Nobody asked.
        let result = succeeded(endured_by(&sandbox, &code, within(SOON)).await);
        assert!(result.output.trace.is_empty() && !result.output.trace_truncated);
    }
}

#[tokio::test]
async fn floods_of_events_are_capped() {
    let sandbox = unlimited();
    for (events, times) in [
        ("[[0, 1, 'f', None]] * 50_000", 20),
        ("[[0, 1, 'f' * 1_000_000, None]] * 4", 40),
        ("[[3, 1, 'f', {'message': 'x' * 1_000_000}]] * 4", 40),
        ("[[3, 1, 'f', {str(i): None for i in range(100_000)}]]", 20),
    ] {
        let code = format!(
            "import _eryx\nevents = {events}\nfor _ in range({times}): _eryx.trace(events)\n'done'"
        );
        let result = succeeded(endured_by(&sandbox, &code, traced()).await);
        assert_eq!(result.value, Some("done".into()), "{events}");
        assert!(result.output.trace_truncated, "{events}");
        let size: usize = result.output.trace.iter().map(eryx::TraceEvent::size).sum();
        assert!(
            result.output.trace.len() <= 100_000 && size <= 16 << 20,
            "{events}"
        );
    }
}

#[tokio::test]
async fn taking_the_tracer_apart() {
    let sandbox = unlimited();
    for code in [
        "t._pending = None\nx = 1",
        "t._pending = 5\nx = 1",
        "t._pending.append(object())",
        "t._pending.extend([object()] * 1000)\nx = 1",
        "t._add = None\nx = 1",
        "t.flush = None\nx = 1",
        "t.flush = lambda: exit(3)\nx = 1",
        "t._eryx = None\nfor i in range(2000): pass",
        "t._getframe = lambda n: 5\n1/0",
        "t._getframe = lambda n: exit(3)\nawait echo(1)",
        "t._now = lambda: 'x'\nawait echo(1)",
        "t._filename = None\nawait echo(1)",
        "t.__dict__.clear()\nx = 1",
        "_eryx.trace = None\nfor i in range(2000): pass",
        "_eryx.trace = lambda events: exit(3)\nfor i in range(2000): pass",
        "sys.monitoring.free_tool_id(4)\nx = 1",
        "sys.monitoring.set_events(4, 0)\nx = 1",
        "sys.monitoring.register_callback(4, sys.monitoring.events.LINE, lambda *a: 1/0)\nx = 1",
        "sys.monitoring.register_callback(4, sys.monitoring.events.LINE, exit)\nx = 1",
        "sys.settrace(lambda *a: 1/0)\nx = 1\ndef f(): pass\nf()",
        "f = lambda: 1/0\nf.__code__ = f.__code__.replace(co_name='\\ud800', co_qualname='x')\nf()",
        "f = lambda: 1/0\nf.__code__ = f.__code__.replace(co_firstlineno=2**31 - 1)\nf()",
        "f = lambda: 1/0\nf.__code__ = f.__code__.replace(co_name='x' * 5_000_000)\nf()",
        "def f(): f()\nf()",
        "class E(Exception):\n    def __str__(self): raise self\nraise E",
        "class E(Exception):\n    def __str__(self): return f()\ndef f(): raise E\nf()",
    ] {
        let code = format!("import _eryx, _eryx_trace as t, sys\n{code}");
        let _ = endured_by(&sandbox, &code, traced()).await;
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn events_take_no_more_of_the_host_than_the_caps() {
    use crate::support::process_kibibytes;
    if !alone("hostile::events::events_take_no_more_of_the_host_than_the_caps") {
        return;
    }
    let sandbox = unlimited();
    succeeded(sandbox.execute("await echo(1)", traced()).await);
    for events in [
        // Details that are dropped leave no room behind.
        "[[3, 1, 'f', {str(i): True for i in range(200_000)}]]",
        "[[3, 1, 'f', {str(i): [] for i in range(200_000)}]]",
        "[[3, 1, 'f', {str(i): None for i in range(1000)}]] * 200",
        "[[0, 1, 'f' * 100_000, None]] * 40",
        "[[0, 1, '', {}]] * 200_000",
        "[None] * 1_000_000",
    ] {
        let before = process_kibibytes("VmHWM");
        let code = format!(
            "import _eryx\nevents = {events}\nfor _ in range(20): _eryx.trace(events)\n'done'"
        );
        let outcome = sandbox.execute(&code, traced()).await;
        assert!(
            matches!(&outcome, Ok(result) if result.value == Some("done".into())),
            "{events}: {outcome:?}"
        );
        let peak = process_kibibytes("VmHWM").saturating_sub(before);
        // The memory limit, the cap on events with what their vectors grow by, one message, and 64 MiB.
        assert!(peak < (128 + 32 + 64 + 64) << 10, "{events}: {peak} KiB");
    }
}
