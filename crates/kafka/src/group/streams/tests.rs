//! The member's state machine, with answers made by hand and a clock that is a number.

use std::time::Duration;

use kstreams_core::error::ErrorKind;
use kstreams_core::task::TaskId;
use kstreams_runtime::transport::{Assignment, MembershipEvent};

use super::state::{After, State, Step};
use crate::wire::{Answer, Endpoint, Heartbeat, Join, Status, WireTopology};

fn state(endpoint: Option<Endpoint>) -> State {
    let join = Join {
        rebalance_timeout_ms: 60_000,
        topology: WireTopology::default(),
        process: "p".to_owned(),
    };
    State::new("g", "m".to_owned(), Some("spare".to_owned()), join, endpoint, Duration::ZERO)
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn tasks(partitions: &[i32]) -> Assignment {
    let task = |partition: &i32| TaskId { subtopology: 0, partition: *partition };
    Assignment { active: partitions.iter().map(task).collect(), ..Assignment::default() }
}

fn sent(state: &mut State, now: Duration) -> Box<Heartbeat> {
    match state.step(now) {
        Step::Send(heartbeat) => heartbeat,
        other => panic!("a heartbeat was due: {other:?}"),
    }
}

fn welcome(epoch: i32, assignment: Option<Assignment>) -> Answer {
    let interval_ms = 5_000;
    Answer { epoch, interval_ms, assignment, statuses: Some(Vec::new()), ..Answer::default() }
}

fn refusal(code: i16, message: &str) -> Answer {
    Answer { code, message: Some(message.to_owned()), ..Answer::default() }
}

fn status(code: i8) -> Answer {
    let detail = "Source topics t are missing.".to_owned();
    Answer { statuses: Some(vec![Status { code, detail }]), ..welcome(1, None) }
}

/// A member that owns these tasks and has told the group.
fn joined(partitions: &[i32]) -> State {
    let mut state = state(None);
    assert_eq!(state.poll(at(0)).expect("joins"), None);
    let join = sent(&mut state, at(0));
    assert!(join.epoch == 0 && join.join.is_some() && join.owned == Some(tasks(&[])));
    state.answered(&join, welcome(1, Some(tasks(partitions))), at(0));
    let told = state.poll(at(0)).expect("told");
    assert_eq!(told, Some(MembershipEvent::Assigned(tasks(partitions))));
    state.acknowledge(&tasks(partitions), at(0)).expect("taken");
    if !partitions.is_empty() {
        let report = sent(&mut state, at(0));
        assert_eq!((report.epoch, report.owned.clone()), (1, Some(tasks(partitions))));
        assert!(report.join.is_none());
        state.answered(&report, welcome(1, None), at(0));
    }
    state
}

#[test]
fn nothing_is_sent_before_the_first_poll() {
    let mut state = state(None);
    assert!(matches!(state.step(at(9)), Step::Wait(_)));
    assert!(state.identity().expect_err("outside").is_retriable());
}

#[test]
fn a_member_that_has_just_joined_asks_again_soon_and_then_less_and_less() {
    let mut state = state(None);
    state.poll(at(0)).expect("joins");
    let (mut now, mut pauses) = (at(0), Vec::new());
    for _ in 0..6 {
        let beat = sent(&mut state, now);
        state.answered(&beat, welcome(1, None), now);
        let Step::Wait(pause) = state.step(now) else { panic!("a heartbeat was due at once") };
        pauses.push(pause.as_millis());
        now += pause;
    }
    assert_eq!(pauses, [20, 20, 40, 80, 160, 250]);
}

#[test]
fn a_task_is_reported_gone_at_once_and_the_others_are_told_as_they_were() {
    let mut state = joined(&[0, 1]);
    let beat = sent(&mut state, at(5));
    assert_eq!(beat.owned, None, "unchanged is not told again");
    state.answered(&beat, welcome(1, Some(tasks(&[0]))), at(5));
    assert_eq!(state.poll(at(5)).expect("told"), Some(MembershipEvent::Assigned(tasks(&[0]))));
    assert_eq!(state.poll(at(5)).expect("once"), None);
    assert!(matches!(state.step(at(5)), Step::Wait(_)), "nothing to report yet");
    state.acknowledge(&tasks(&[0]), at(5)).expect("given up");
    let report = sent(&mut state, at(5));
    assert_eq!((report.epoch, report.owned.clone()), (1, Some(tasks(&[0]))));
    state.answered(&report, welcome(2, None), at(5));
    assert_eq!(state.identity().expect("a member"), ("m".to_owned(), 2));
}

#[test]
fn what_was_not_answered_is_told_again_in_full() {
    let mut state = joined(&[0]);
    sent(&mut state, at(5));
    let away = kstreams_core::Error::new(ErrorKind::Unavailable, "away");
    state.failed(away, at(5));
    assert!(state.poll(at(5)).expect_err("told").is_retriable());
    assert!(state.identity().is_ok(), "it goes on as a member");
    assert!(matches!(state.step(at(5)), Step::Wait(pause) if pause < at(1)));
    assert_eq!(sent(&mut state, at(6)).owned, Some(tasks(&[0])));
}

#[test]
fn a_member_that_is_unknown_loses_all_and_joins_again_as_itself() {
    for (code, lived) in [(25, 5), (110, 20)] {
        let mut state = joined(&[0]);
        let beat = sent(&mut state, at(lived));
        state.answered(&beat, refusal(code, "no"), at(lived));
        assert!(state.identity().expect_err("lost").is_fenced());
        let now = at(lived + 1);
        assert!(matches!(state.step(now), Step::Wait(_)), "not before the engine has heard");
        assert_eq!(state.poll(now).expect("told"), Some(MembershipEvent::Lost));
        assert_eq!(state.poll(now).expect("once"), None);
        state.acknowledge(&tasks(&[]), now).expect("given up");
        let join = sent(&mut state, now);
        assert_eq!((join.epoch, join.member.as_str()), (0, "m"));
        assert_eq!(join.owned, Some(tasks(&[])));
        state.answered(&join, welcome(3, Some(tasks(&[0]))), now);
        let told = state.poll(now).expect("told");
        assert_eq!(told, Some(MembershipEvent::Assigned(tasks(&[0]))));
    }
}

#[test]
fn a_member_with_a_twin_takes_another_id_once() {
    let mut state = joined(&[0]);
    for (now, member) in [(5, "spare"), (7, "spare")] {
        let beat = sent(&mut state, at(now));
        state.answered(&beat, refusal(110, "fenced"), at(now));
        assert_eq!(state.poll(at(now)).expect("told"), Some(MembershipEvent::Lost));
        state.acknowledge(&tasks(&[]), at(now)).expect("given up");
        let join = sent(&mut state, at(now));
        assert_eq!((join.epoch, join.member.as_str()), (0, member));
        state.answered(&join, welcome(3, Some(tasks(&[0]))), at(now));
    }
    assert!(state.remain(at(8)), "nobody comes back under the spare id: it leaves");
    assert_eq!(sent(&mut state, at(8)).epoch, -1);
}

#[test]
fn a_member_that_nobody_polls_leaves_and_hears_that_it_lost_all() {
    let mut state = joined(&[0]);
    let beat = sent(&mut state, at(60));
    state.answered(&beat, welcome(1, None), at(60));
    let leave = sent(&mut state, at(61));
    assert_eq!(leave.epoch, -1);
    state.answered(&leave, welcome(-1, None), at(61));
    assert_eq!(state.poll(at(99)).expect("told"), Some(MembershipEvent::Lost));
}

#[test]
fn a_coordinator_that_moved_is_found_again() {
    let mut state = joined(&[0]);
    for code in [14, 15, 16] {
        let beat = sent(&mut state, at(u64::try_from(code).expect("positive")));
        let after = state.answered(&beat, refusal(code, "elsewhere"), at(5));
        assert!(matches!(after, After::Forget));
    }
    assert!(state.identity().is_ok());
}

#[test]
fn missing_topics_are_an_error_once_it_lasts() {
    let mut state = joined(&[]);
    let beat = sent(&mut state, at(5));
    state.answered(&beat, status(Status::MISSING_SOURCE_TOPICS), at(5));
    assert_eq!(state.poll(at(5)).expect("it may pass"), None);
    let beat = sent(&mut state, at(6));
    state.answered(&beat, status(Status::MISSING_SOURCE_TOPICS), at(9));
    let error = state.poll(at(9)).expect_err("it lasts");
    assert_eq!(error.kind(), ErrorKind::Topic);
    assert!(error.message().contains("topics t are missing"), "{error}");
    let beat = sent(&mut state, at(10));
    state.answered(&beat, welcome(2, Some(tasks(&[0]))), at(10));
    assert_eq!(state.poll(at(10)).expect("over"), Some(MembershipEvent::Assigned(tasks(&[0]))));
}

#[test]
fn a_shutdown_is_passed_on_once_and_told_once() {
    let mut state = joined(&[0]);
    state.stop_all(at(1)).expect("a member");
    let beat = sent(&mut state, at(1));
    assert!(beat.shutdown);
    state.answered(&beat, status(Status::SHUTDOWN_APPLICATION), at(1));
    assert_eq!(state.poll(at(1)).expect("told"), Some(MembershipEvent::ShutdownRequested));
    assert_eq!(state.poll(at(1)).expect("once"), None);
    assert!(!sent(&mut state, at(7)).shutdown);
}

#[test]
fn another_topology_is_compared_and_tried_again_later() {
    let mut state = state(None);
    state.poll(at(0)).expect("joins");
    let join = sent(&mut state, at(0));
    let after =
        state.answered(&join, refusal(42, "Topology updates are not supported yet."), at(0));
    let After::Compare(error) = after else { panic!("{after:?}") };
    assert_eq!(error.kind(), ErrorKind::Topology);
    state.refused(error);
    assert!(state.poll(at(0)).is_err());
    assert!(matches!(state.step(at(1)), Step::Wait(_)));
}

#[test]
fn members_of_another_protocol_are_waited_for_as_long_as_a_session() {
    let mut state = state(None);
    state.poll(at(0)).expect("joins");
    let join = sent(&mut state, at(0));
    for (now, kind) in [(0, ErrorKind::Unavailable), (60, ErrorKind::Config)] {
        state.answered(&join, refusal(69, "Group g is not a streams group."), at(now));
        let error = state.poll(at(now)).expect_err("occupied");
        assert_eq!(error.kind(), kind);
        assert!(error.message().contains("stop all of them first"), "{error}");
    }
}

#[test]
fn a_broker_that_fails_at_an_endpoint_is_told_it_later() {
    let mut state = state(Some(Endpoint { host: "h".to_owned(), port: 1 }));
    state.poll(at(0)).expect("joins");
    let join = sent(&mut state, at(0));
    assert!(join.endpoint.is_some());
    state.answered(&join, refusal(-1, "server error"), at(0));
    let join = sent(&mut state, at(3));
    assert!(join.endpoint.is_some(), "the topic may only be new");
    state.answered(&join, refusal(-1, "server error"), at(3));
    let join = sent(&mut state, at(3));
    assert!(join.join.is_some() && join.endpoint.is_none());
    state.answered(&join, status(Status::MISSING_SOURCE_TOPICS), at(3));
    let beat = sent(&mut state, at(4));
    assert!(beat.endpoint.is_none(), "not while the topic is missing");
    state.answered(&beat, welcome(1, None), at(4));
    let beat = sent(&mut state, at(5));
    assert!(beat.endpoint.is_some());
    state.answered(&beat, welcome(1, None), at(5));
    assert!(sent(&mut state, at(9)).endpoint.is_none(), "once");
}

#[test]
fn leaving_is_said_once_and_final() {
    let mut state = joined(&[0]);
    assert!(state.leave(at(1)));
    let leave = sent(&mut state, at(1));
    assert_eq!(leave.epoch, -1);
    state.answered(&leave, welcome(-1, None), at(1));
    assert!(state.has_left() && matches!(state.step(at(1)), Step::End));
    assert_eq!(state.poll(at(1)).expect_err("left").kind(), ErrorKind::Closed);
    assert_eq!(state.identity().expect_err("left").kind(), ErrorKind::Closed);
    assert!(!state.leave(at(2)), "left already");
}

#[test]
fn who_remains_says_nothing_more() {
    let mut state = joined(&[0]);
    assert!(!state.remain(at(1)), "nothing to wait for");
    assert!(!state.leave(at(1)), "nothing is said when it is dropped either");
    assert!(matches!(state.step(at(1)), Step::End));
    assert_eq!(state.identity().expect_err("ended").kind(), ErrorKind::Closed);
}
