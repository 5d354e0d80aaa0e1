//! Every state with its deadline, and every event with what it changes.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Every state once. One that is missing here does not compile.
fn states() -> Vec<State> {
    let mut all = vec![State::Preface];
    while let Some(last) = all.last() {
        all.push(match last {
            State::Preface => State::Fresh,
            State::Fresh => State::Idle,
            State::Idle => State::Head,
            State::Head => State::Serving,
            State::Serving => State::Uploading,
            State::Uploading => State::Leaving(Requests::Running),
            State::Leaving(Requests::Running) => State::Leaving(Requests::Done),
            State::Leaving(Requests::Done) => State::Condemned(Requests::Running),
            State::Condemned(Requests::Running) => State::Condemned(Requests::Done),
            State::Condemned(Requests::Done) => State::Lingering,
            State::Lingering => State::Closing,
            State::Closing => State::Switched,
            State::Switched => break,
        });
    }
    all
}

/// Likewise every event.
fn events() -> Vec<Event> {
    let mut all = vec![Event::Preface];
    while let Some(last) = all.last() {
        all.push(match last {
            Event::Preface => Event::HeadBegins,
            Event::HeadBegins => Event::RequestBegins,
            Event::RequestBegins => Event::Answered,
            Event::Answered => Event::AnsweredEarly,
            Event::AnsweredEarly => Event::UploadEnds,
            Event::UploadEnds => Event::Told,
            Event::Told => Event::Abuse,
            Event::Abuse => Event::Lingers,
            Event::Lingers => Event::Closes,
            Event::Closes => Event::Switches,
            Event::Switches => break,
        });
    }
    all
}

fn named(thing: impl std::fmt::Debug) -> String {
    format!("{thing:?}")
}

/// The table of the module's documentation, in milliseconds: `header` is 10 s, and `idle` 60 s.
#[test]
fn each_state_has_its_deadline() {
    // State, kind, how long by itself, how long in a drain that began long ago, and what follows.
    const TABLE: &str = "
        Preface              Http2   10000  10000  Over
        Fresh                Http1   10000    250  Leave
        Fresh                Http2   10000      0  Leave
        Fresh                Stream      -      -  -
        Idle                 Http1   60000    250  Leave
        Idle                 Http2   60000      0  Leave
        Idle                 Stream      -      -  -
        Head                 Http1   10000  10000  Head
        Serving              Http1       -      -  -
        Serving              Http2       -      0  Leave
        Serving              Stream      -      -  -
        Uploading            Http1       -      -  -
        Uploading            Stream      -      -  -
        Leaving(Running)     Http2       -      -  -
        Leaving(Done)        Http1     250    250  Over
        Leaving(Done)        Http2    1000   1000  Over
        Condemned(Running)   Http2       -      -  -
        Condemned(Done)      Http2    1000   1000  Over
        Lingering            Http1    2000      0  Over
        Closing              Http1     250    250  Over
        Switched             Http1       -      -  -";
    let timeouts = Timeouts { header: 10 * SECOND, idle: 60 * SECOND, ..Timeouts::default() };
    let begun = Instant::now();
    let since = begun + SECOND;
    let mut found = Vec::new();
    let rows = TABLE.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    for row in rows.filter(|row| !row.is_empty()) {
        let [state, kind, own, drained, then] = row[..] else { panic!("{row:?}") };
        let state = *states().iter().find(|known| named(known) == state).expect(state);
        let kinds = [Kind::Http1, Kind::Http2, Kind::Stream];
        let kind = *kinds.iter().find(|known| named(known) == kind).expect(kind);
        let machine = Machine { kind, state: Cell::new(state), since: Cell::new(since) };
        let said = |due: Option<(Instant, Due)>| {
            due.map_or("-".to_owned(), |(when, _)| (when - since).as_millis().to_string())
        };
        let by_itself = machine.deadline(&timeouts, None);
        let in_a_drain = machine.deadline(&timeouts, Some(begun));
        assert_eq!((said(by_itself), said(in_a_drain)), (own.to_owned(), drained.to_owned()), "{row:?}");
        let follows = in_a_drain.map_or("-".to_owned(), |(_, then)| named(then));
        assert_eq!(follows, then, "{row:?}");
        found.push(state);
    }
    for state in states() {
        assert!(found.contains(&state), "{state:?}");
    }
}

#[test]
fn a_drain_counts_from_its_beginning_and_ends_nothing_later() {
    let timeouts = Timeouts { header: SECOND / 10, idle: 60 * SECOND, ..Timeouts::default() };
    let since = Instant::now();
    let machine = Machine::new(Kind::Http1, since);
    let begun = since + SECOND / 20;
    assert_eq!(machine.deadline(&timeouts, Some(begun)), Some((since + SECOND / 10, Due::Leave)));
    machine.happens(Event::RequestBegins, since);
    machine.happens(Event::Answered, since);
    assert_eq!(machine.deadline(&timeouts, Some(begun)), Some((begun + FAREWELL, Due::Leave)));
}

#[test]
fn a_shorter_idle_time_bounds_the_first_request_of_http1() {
    let timeouts = Timeouts { header: 10 * SECOND, idle: SECOND, ..Timeouts::default() };
    let since = Instant::now();
    let deadline = |kind, event| {
        let machine = Machine::new(kind, since);
        machine.happens(event, since);
        machine.deadline(&timeouts, None)
    };
    assert_eq!(deadline(Kind::Http1, Event::Answered), Some((since + SECOND, Due::Leave)));
    assert_eq!(deadline(Kind::Http2, Event::Preface), Some((since + 10 * SECOND, Due::Leave)));
}

/// Every pair of a state and an event that is not here changes nothing.
#[test]
fn each_state_knows_its_events() {
    const KNOWN: &str = "
        Preface: Preface Fresh, Lingers Lingering, Closes Closing
        Fresh: HeadBegins Head, RequestBegins Serving, Told Leaving(Done), Abuse Condemned(Done), Lingers Lingering, Closes Closing
        Idle: HeadBegins Head, RequestBegins Serving, Told Leaving(Done), Abuse Condemned(Done), Lingers Lingering, Closes Closing
        Head: RequestBegins Serving, Lingers Lingering, Closes Closing
        Serving: Answered Idle, AnsweredEarly Uploading, Told Leaving(Running), Abuse Condemned(Running), Lingers Lingering, Closes Closing, Switches Switched
        Uploading: RequestBegins Serving, UploadEnds Idle, Lingers Lingering, Closes Closing
        Leaving(Running): Answered Leaving(Done), Abuse Condemned(Running), Lingers Lingering, Closes Closing
        Leaving(Done): RequestBegins Leaving(Running), Abuse Condemned(Done), Lingers Lingering, Closes Closing
        Condemned(Running): Answered Condemned(Done), Lingers Lingering, Closes Closing
        Condemned(Done): Lingers Lingering, Closes Closing
        Lingering: Closes Closing
        Closing:
        Switched: Closes Closing";
    let known: Vec<&str> = KNOWN.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let found: Vec<String> = states()
        .into_iter()
        .map(|state| {
            let next = |event| {
                let machine =
                    Machine { state: Cell::new(state), ..Machine::new(Kind::Http2, Instant::now()) };
                let later = machine.since.get() + SECOND;
                let changed = machine.happens(event, later);
                assert_eq!((machine.since.get() == later, machine.state() != state), (changed, changed));
                changed.then(|| format!(" {event:?} {:?}", machine.state()))
            };
            format!("{state:?}:{}", events().into_iter().filter_map(next).collect::<Vec<_>>().join(","))
        })
        .collect();
    assert_eq!(found, known);
}

#[test]
fn what_is_over_takes_no_request() {
    for state in states() {
        let begins = state.after(Event::RequestBegins).is_some();
        assert!(!begins || state.takes_requests(), "{state:?}");
        if state.takes_requests() || state == State::Preface {
            continue;
        }
        for event in events() {
            let over = |next: State| !next.takes_requests();
            assert!(state.after(event).is_none_or(over), "{state:?} {event:?}");
        }
    }
}
