//! Recording, writing, reading and merging histories.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use grid_testkit::history::{
    Event, Happening, History, Outcome, Recorder, Seen, check_linearizable, check_outcomes,
};

use super::script::{MAP, Script, put};

#[test]
fn several_threads_record_into_one_history_without_losing_or_mixing_anything() {
    let recorder = Recorder::new();
    std::thread::scope(|scope| {
        for session in 0..4 {
            let recorder = recorder.clone();
            scope.spawn(move || {
                for value in 0..500 {
                    // All share one session on purpose: its calls must still differ.
                    let key = format!("k{session}");
                    let call = recorder.call(value, "shared", put(&key, value));
                    recorder.returned(value, &call, Outcome::acked());
                }
            });
        }
    });
    let history = recorder.history();
    assert_eq!(history.events().len(), 4 * 500 * 2);
    assert_eq!(check_outcomes(&history).unwrap().acked, 2000);
    check_linearizable(&history).unwrap();
}

#[test]
fn an_observer_gets_every_event_in_order_before_the_recorder_returns() {
    let lines = Arc::<Mutex<String>>::default();
    let written = Arc::clone(&lines);
    let recorder = Recorder::new()
        .observed(move |event: &Event| written.lock().unwrap().push_str(&event.to_json_line()));
    let call = recorder.call(1, "a", put("k", 1));
    assert_eq!(lines.lock().unwrap().lines().count(), 1);
    recorder.returned(2, &call, Outcome::acked());
    let read = History::from_json_lines(&lines.lock().unwrap()).unwrap();
    assert_eq!(read, recorder.history());
}

#[test]
fn a_recorder_goes_on_where_a_killed_process_stopped() {
    let before = Recorder::new();
    before.call(1, "a", put("k", 1));
    before.call(2, "b", put("k", 2));
    let after = Recorder::from(before.history());
    let call = after.call(3, "a", put("k", 3));
    assert_eq!(call.number, 1);
    after.returned(4, &call, Outcome::acked());
    let fates = check_outcomes(&after.history()).unwrap();
    assert_eq!((fates.acked, fates.unknown.len()), (1, 2));
}

#[test]
fn merged_histories_are_in_order_of_time_and_equal_times_overlap() {
    let (one, two) = (Recorder::new(), Recorder::new());
    let write = one.call(10, "a", put("k", 1));
    one.returned(20, &write, Outcome::acked());
    // The read was called in the nanosecond in which the write returned: both orders will do.
    let get = grid_testkit::history::Action::get(grid_testkit::history::Source::Server, MAP, "k");
    let read = two.call(20, "b", get);
    two.returned(30, &read, Outcome::Read(Seen::absent()));
    for (mut history, other) in [
        (one.history(), two.history()),
        (two.history(), one.history()),
    ] {
        history.merge(other);
        let times: Vec<u64> = history.events().iter().map(|event| event.at_ns).collect();
        assert_eq!(times, [10, 20, 20, 30]);
        check_linearizable(&history).unwrap();
    }
}

#[test]
fn events_of_one_recorder_keep_their_order_within_one_instant() {
    let recorder = Recorder::new();
    let write = recorder.call(0, "a", put("k", 1));
    recorder.returned(0, &write, Outcome::acked());
    let get = grid_testkit::history::Action::get(grid_testkit::history::Source::Server, MAP, "k");
    let read = recorder.call(0, "b", get);
    recorder.returned(0, &read, Outcome::Read(Seen::absent()));
    check_linearizable(&recorder.history()).expect_err("the write was over before the read");
}

#[test]
fn a_line_that_is_no_event_is_named() {
    for (line, text) in [
        (1, "nonsense"),
        (
            2,
            "{\"at_ns\":1,\"session\":\"a\",\"return\":{\"number\":0,\"outcome\":\"durable\"}}\n{}",
        ),
        (
            1,
            "{\"at_ns\":1,\"session\":\"a\",\"return\":{\"number\":0,\"outcome\":\"eaten\"}}",
        ),
        (
            1,
            "{\"at_ns\":1,\"session\":\"a\",\"learned\":{\"id\":\"?\",\"outcome\":\"durable\"}}",
        ),
    ] {
        let error = History::from_json_lines(text).expect_err(text);
        assert_eq!(error.line, line, "{error}");
    }
}

#[test]
fn a_violation_reads_as_a_timeline() {
    let script = Script::default();
    script.done("phone", put("k", 1), Outcome::acked());
    script.settled("server", &[]);
    let violation = check_outcomes(&script.history()).expect_err("the write is lost");
    assert_eq!(
        violation.to_string(),
        "acked is kept is broken: server ends with nothing at lists/k, but phone #0 was acked and \
         is no older\n    \
         0.000001000 s  phone         #0 put lists/k = 1\n    \
         0.000002000 s  phone         #0 acked\n    \
         0.000003000 s  server        ends with nothing in lists"
    );
    let last = violation.witness.last().unwrap();
    assert!(matches!(last.happening, Happening::State(_)));
    assert_eq!(Duration::from_nanos(last.at_ns), Duration::from_micros(3));
}
