//! Hybrid logical time: what clocks issue, what servers admit, and the forms of an instant.

use grid_core::clock::CLOCK_BOUND_LEAD_MS;
use grid_core::{Clock, ClockBound, Hlc, admit};
use proptest::prelude::*;

/// What happens to a clock.
#[derive(Debug, Clone)]
enum Step {
    Tick(u64),
    Absorb(Hlc),
}

/// Wall times and instants from a range so small that they go back and tie all the time, with
/// counters at the edge of overflow.
fn a_step() -> impl Strategy<Value = Step> {
    let counter = prop_oneof![Just(0_u16), Just(1), Just(u16::MAX - 1), Just(u16::MAX)];
    prop_oneof![
        (0_u64..4).prop_map(Step::Tick),
        (0_u64..4, counter).prop_map(|(ms, counter)| Step::Absorb(Hlc::new(ms, counter))),
    ]
}

proptest! {
    #[test]
    fn a_clock_only_goes_forward(floor in 0_u64..3, steps in prop::collection::vec(a_step(), 0..40)) {
        let floor = Hlc::new(floor, u16::MAX);
        let mut clock = Clock::new(floor);
        let mut highest = floor;
        for step in steps {
            match step {
                Step::Tick(now_ms) => {
                    let issued = clock.tick(now_ms);
                    prop_assert!(issued > highest, "strictly later than all before");
                    let least = Hlc::new(now_ms, 0).max(highest.next());
                    prop_assert_eq!(issued, least, "and no later than it must be");
                    highest = issued;
                }
                Step::Absorb(seen) => {
                    clock.absorb(seen);
                    highest = highest.max(seen);
                }
            }
            prop_assert_eq!(clock.last(), highest);
        }
    }

    #[test]
    fn both_forms_come_back_and_sort_like_the_instants(a in any::<u64>(), b in any::<u64>()) {
        let (a, b) = (Hlc::from_u64(a), Hlc::from_u64(b));
        prop_assert_eq!(a.to_string().parse::<Hlc>().unwrap(), a);
        prop_assert_eq!(Hlc::from_be_bytes(a.to_be_bytes()), a);
        prop_assert_eq!(Hlc::from_u64(a.as_u64()), a);
        prop_assert_eq!(Hlc::new(a.millis(), a.counter()), a);
        prop_assert_eq!(a.to_be_bytes().cmp(&b.to_be_bytes()), a.cmp(&b));
        prop_assert_eq!(a.to_string().cmp(&b.to_string()), a.cmp(&b));
        prop_assert_eq!((a.millis(), a.counter()).cmp(&(b.millis(), b.counter())), a.cmp(&b));
    }

    #[test]
    fn any_text_parses_or_is_refused(text in "[0-9.]{0,24}|\\PC{0,12}") {
        if let Ok(hlc) = text.parse::<Hlc>() {
            let (millis, counter) = text.split_once('.').unwrap();
            prop_assert_eq!(millis.parse::<u64>().unwrap(), hlc.millis());
            prop_assert_eq!(counter.parse::<u16>().unwrap(), hlc.counter());
        }
    }

    /// A run whose clock is off by anything, over a connection whose measure of that is off too:
    /// the server's stamps keep the run's order and its bounds.
    #[test]
    fn admission_keeps_the_order_of_a_run_and_its_bounds(
        skew in -300_i64..300,
        error in -20_i64..20,
        steps in prop::collection::vec((0_u64..60, 0_u64..40), 1..30),
    ) {
        const DRIFT_MS: u64 = 50;
        let mut server_ms = 1_000_u64;
        let mut clock = Clock::new(Hlc::ZERO);
        let mut last: Option<Hlc> = None;
        for (pause, delay) in steps {
            let stamp = clock.tick((server_ms + pause).checked_add_signed(skew).unwrap());
            server_ms += pause + delay;
            let admitted = admit(stamp, skew + error, server_ms, DRIFT_MS, last);
            let limit = Hlc::new(server_ms + DRIFT_MS, u16::MAX);
            prop_assert_eq!(admitted.restamped, admitted.hlc != stamp);
            prop_assert_eq!(admitted.restamped, stamp > limit, "within the drift it stands");
            if let Some(last) = last {
                prop_assert!(admitted.hlc > last, "the run keeps its order");
            }
            if admitted.restamped {
                let now = Hlc::new(server_ms, 0);
                let forced = last.map(Hlc::next);
                prop_assert!(admitted.hlc <= now || Some(admitted.hlc) == forced);
            }
            prop_assert!(admitted.hlc <= limit);
            prop_assert!(admitted.hlc <= stamp, "nobody wins by a fast clock");
            last = Some(admitted.hlc);
        }
    }

    #[test]
    fn hostile_stamps_and_offsets_are_bounded(
        stamp in any::<u64>(),
        offset in any::<i64>(),
        now in 0_u64..=Hlc::MAX_MILLIS,
        drift in any::<u64>(),
    ) {
        let stamp = Hlc::from_u64(stamp);
        let admitted = admit(stamp, offset, now, drift, None);
        let allowed = if admitted.restamped { 0 } else { drift };
        prop_assert!(admitted.hlc.millis() <= now.saturating_add(allowed));
    }

    /// A server that crashes at any moment never issues an instant twice, and stores few bounds.
    #[test]
    fn a_bound_holds_over_crashes(
        steps in prop::collection::vec((0_u64..3_000, prop::bool::weighted(0.1)), 1..60),
        back in 0_u64..100_000,
    ) {
        let mut on_disk = Hlc::ZERO;
        let mut bound = ClockBound::default();
        let mut clock = bound.restart();
        let mut now_ms = 1_000_000;
        let mut issued = Hlc::ZERO;
        let mut stores = 0;
        let mut crashes = 0;
        let start = now_ms;
        for (pause, crash) in steps {
            now_ms += pause;
            if crash {
                bound = ClockBound::new(on_disk);
                clock = bound.restart();
                crashes += 1;
            }
            // After the first crash the wall clock is wrong by `back`.
            let wall = if crashes > 0 { now_ms - back } else { now_ms };
            let next = clock.tick(wall);
            if let Some(raised) = bound.raise_for(next) {
                prop_assert!(raised >= next);
                on_disk = raised;
                bound.stored(raised);
                stores += 1;
            }
            prop_assert!(bound.raise_for(next).is_none());
            prop_assert!(next > issued);
            issued = next;
        }
        prop_assert!(stores <= 1 + crashes + (now_ms - start) / CLOCK_BOUND_LEAD_MS);
    }
}

#[test]
fn a_full_counter_carries_into_the_milliseconds() {
    assert_eq!(Hlc::new(7, u16::MAX).next(), Hlc::new(8, 0));
    let mut clock = Clock::new(Hlc::new(7, u16::MAX - 1));
    assert_eq!(clock.tick(7), Hlc::new(7, u16::MAX));
    assert_eq!(clock.tick(7), Hlc::new(8, 0));
    assert_eq!(clock.tick(3), Hlc::new(8, 1));
    assert_eq!(Hlc::from_u64(u64::MAX).next(), Hlc::from_u64(u64::MAX));
    assert_eq!(Hlc::new(u64::MAX, 0).millis(), Hlc::MAX_MILLIS);
}

#[test]
fn a_bound_that_is_told_late_does_not_lower_a_later_one() {
    let mut bound = ClockBound::new(Hlc::new(9, 0));
    bound.stored(Hlc::new(5, 0));
    assert_eq!(bound.get(), Hlc::new(9, 0));
    assert_eq!(bound.raise_for(Hlc::new(9, 0)), None);
    let top = Hlc::from_u64(u64::MAX);
    assert_eq!(bound.raise_for(top), Some(top), "the end of the range");
}

#[test]
fn broken_text_is_refused() {
    for text in [
        "",
        ".",
        "1",
        "1.",
        ".1",
        "-1.0",
        "+1.0",
        "1.+1",
        " 1.0",
        "1.0 ",
        "1.0.0",
        "1.65536",
        "281474976710656.0",
        "99999999999999999999.0",
        "1e3.0",
        "１.0",
    ] {
        let error = text.parse::<Hlc>().unwrap_err();
        assert!(
            error.to_string().contains("MILLISECONDS.COUNTER"),
            "{text:?}: {error}"
        );
    }
    assert_eq!(
        "281474976710655.65535".parse::<Hlc>().unwrap(),
        Hlc::from_u64(u64::MAX)
    );
}

#[test]
fn a_clock_ten_minutes_fast_wins_nothing() {
    let now = 1_700_000_000_000;
    let fast = Hlc::new(now + 600_000, 0);
    let admitted = admit(fast, 600_000, now + 20, 60_000, None);
    assert_eq!(
        admitted.hlc,
        Hlc::new(now, 0),
        "the time at which it was truly made"
    );
    // Without a usable measure of its offset it is now, not later.
    assert_eq!(admit(fast, 0, now, 60_000, None).hlc, Hlc::new(now, 0));
    // A month-old write keeps its stamp, whatever the offset is now.
    let old = Hlc::new(now - 30 * 86_400_000, 4);
    assert_eq!(admit(old, 600_000, now, 60_000, Some(fast)).hlc, old);
    // The edge of the drift.
    let edge = Hlc::new(now + 60_000, u16::MAX);
    assert!(!admit(edge, 0, now, 60_000, None).restamped);
    assert!(admit(edge.next(), 0, now, 60_000, None).restamped);
}

#[test]
fn order_alone_may_lift_a_restamped_op_beyond_now() {
    let now = 1_000_000;
    let first = Hlc::new(now + 50, 0);
    assert_eq!(admit(first, 0, now, 50, None).hlc, first);
    let second = admit(Hlc::new(now + 51, 0), 0, now, 50, Some(first));
    assert_eq!(second.hlc, first.next());
    assert!(second.restamped);
    let alone = admit(Hlc::new(now + 51, 0), 0, now, 50, None);
    assert_eq!(alone.hlc, Hlc::new(now, 0));
}
