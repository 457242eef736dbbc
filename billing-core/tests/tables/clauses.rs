//! Clauses of a plan at their edges, and the words in which they say no.

use crate::scene::NOW;
use billing_core::plan::{
    Outcome, Pattern, PatternFault, Plan, PlanFault, Quantity, Rate, Request, Usage, Window,
    evaluate,
};
use chrono_tz::Tz;
use entity::{Credits, GroupId, key::PayOrder};
use std::collections::BTreeMap;

const DAY: &str = r#"{"rule":"quota","name":"daily","window":"day","limit":{"requests":2}}"#;

fn parse(rules: &str) -> Result<Plan, PlanFault> {
    Plan::from_json(&format!(r#"{{"version":1,"rules":[{rules}]}}"#))
}

/// What the plan says to a call that holds `amount`, in words.
fn said(rules: &str, model: &str, amount: i64) -> Result<(), String> {
    let amount = Credits::from_nanos(amount);
    let request = Request {
        model,
        group: GroupId::fresh(),
        amount,
        least: amount,
    };
    let unused = Usage {
        zone: Tz::UTC,
        open_calls: 0,
        windows: BTreeMap::new(),
    };
    match evaluate(&parse(rules).expect("a plan"), &unused, &request, NOW).outcome {
        Outcome::Admit(_) => Ok(()),
        Outcome::Refuse(refusal) => Err(refusal.to_string()),
    }
}

#[test]
fn a_quota_for_some_models_counts_no_others() {
    let quota = r#"{"rule":"quota","name":"opus","window":"day","limit":{"credits":"0.000000005"},"models":["claude-opus-*"]}"#;

    assert!(said(quota, "claude-opus-5", 6).is_err());
    assert_eq!(said(quota, "gpt-5", 6), Ok(()));
}

#[test]
fn of_full_quotas_the_one_that_is_whole_again_last_says_no_wherever_it_stands() {
    let day = r#"{"rule":"quota","name":"a-day","window":"day","limit":{"credits":"0.000000003"}}"#;
    let month =
        r#"{"rule":"quota","name":"a-month","window":"month","limit":{"credits":"0.000000005"}}"#;
    let no = "rule {} (quota a-month): 0 credits of 0.000000005 credits used, 0.00000001 credits needed, whole again at ";

    let last = said(&format!("{day},{month}"), "gpt-5", 10).expect_err("refused");
    let first = said(&format!("{month},{day}"), "gpt-5", 10).expect_err("refused");

    assert!(last.starts_with(&no.replace("{}", "2")), "{last}");
    assert!(first.starts_with(&no.replace("{}", "1")), "{first}");
}

#[test]
fn amounts_and_windows_are_told_in_words() {
    let hours = Window::FirstUse { hours: 5 };
    let windows =
        [hours, Window::Day, Window::Week, Window::Month].map(|window| window.to_string());

    assert_eq!(windows, ["5 hours", "day", "week", "month"]);
    assert_eq!(Quantity::Requests(7).to_string(), "7 requests");
    let credits = Credits::parse("2.5").expect("credits");
    assert_eq!(Quantity::Credits(credits).to_string(), "2.5 credits");
}

#[test]
fn a_plan_takes_64_rules_and_no_more() {
    let rules = |count: usize| {
        let name = |n: usize| {
            format!(
                r#"{{"rule":"quota","name":"q{n}","window":{{"first_use":{{"hours":{n}}}}},"limit":{{"requests":2}}}}"#
            )
        };
        parse(&(1..=count).map(name).collect::<Vec<_>>().join(","))
    };

    assert!(rules(64).is_ok(), "{:?}", rules(64));
    assert_eq!(rules(65), Err(PlanFault::TooManyRules));
    assert_eq!(rules(66), Err(PlanFault::TooManyRules));
}

#[test]
fn the_largest_rollover_priority_and_name_are_taken_and_nothing_beyond() {
    let most = Credits::MAX;
    let rollover = |cap: Credits| parse(&format!(r#"{{"rule":"rollover","cap":"{cap}"}}"#));
    let stacking = |place: u8| parse(&format!(r#"{{"rule":"stacking","priority":{place}}}"#));
    let named = |name: &str| parse(&DAY.replace("daily", name));

    assert_eq!(rollover(most).expect("a plan").rollover_cap(), most);
    let beyond = most.checked_add(Credits::from_nanos(1)).expect("a number");
    assert!(rollover(beyond).is_err());
    assert_eq!(parse(DAY).expect("a plan").rollover_cap(), Credits::ZERO);
    assert_eq!(stacking(100).expect("a plan").priority(), 100);
    assert!(stacking(101).is_err());
    assert!(named(&"a".repeat(40)).is_ok());
    assert!(named("a-b_9").is_ok());
    for name in ["", &"a".repeat(41), "Daily", "a b"] {
        assert!(matches!(named(name), Err(PlanFault::Name(_))), "{name}");
    }
}

#[test]
fn a_plan_tells_what_its_clauses_say_and_nothing_of_those_it_has_not() {
    let plan = parse(
        r#"{"rule":"rate","requests_per_minute":60},{"rule":"allowance_lasts","days":3},{"rule":"pay_order","order":"plan_only"}"#,
    )
    .expect("a plan");
    let empty = parse("").expect("a plan without clauses");

    let rate = Rate {
        requests: Some(60),
        tokens: None,
    };
    assert_eq!(plan.rate(), Some(rate));
    assert_eq!(plan.allowance_days(), Some(3));
    assert_eq!(plan.pay_order(), Some(PayOrder::PlanOnly));
    assert_eq!(empty.rate(), None);
    assert_eq!(empty.allowance_days(), None);
    assert_eq!(empty.pay_order(), None);
}

#[test]
fn a_short_window_that_lets_more_through_than_a_long_one_is_refused_where_it_can_never_bind() {
    let quotas = |short: &str, long: &str| {
        parse(&format!(
            r#"{{"rule":"quota","name":"short","window":{short},"limit":{{"requests":10}}}},{{"rule":"quota","name":"long","window":{long},"limit":{{"requests":5}}}}"#
        ))
    };
    let from_first_use = r#"{"first_use":{"hours":5}}"#;

    assert!(matches!(
        quotas(r#""day""#, r#""month""#),
        Err(PlanFault::NeverBinds { .. })
    ));
    let across = quotas(from_first_use, r#""day""#);
    assert!(across.is_ok(), "it may lie across two days: {across:?}");
    assert!(quotas(r#""day""#, from_first_use).is_ok());
}

#[test]
fn a_pattern_of_128_letters_is_taken_and_one_more_is_too_long() {
    assert!(Pattern::parse(&"a".repeat(128)).is_ok());
    assert_eq!(Pattern::parse(&"a".repeat(129)), Err(PatternFault::TooLong));
}
