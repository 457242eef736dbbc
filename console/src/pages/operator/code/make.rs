//! A new batch. Its codes are in the answer to the form and nowhere else: they are shown, or saved as a file, once.

use crate::{
    Error,
    frame::{Answer, Faults, Operator, Page, Protected, State, reply},
    pages::operator::field,
    words::{Phrase, phrase},
};
use askama::Template;
use billing::{
    code::{BatchError, Gives, Made, NewBatch, SIZE_MAX, create_batch},
    plan,
};
use entity::{CodeBatchId, PlanVersionId, Timestamp};
use serde::Deserialize;

#[derive(Template)]
#[template(path = "page/operator/code_make.html")]
struct Make {
    page: Page,
    plans: Vec<Choice>,
    size_hint: Phrase,
    form: Entered,
    faults: Faults,
}

struct Choice {
    id: String,
    title: String,
    chosen: bool,
}

#[derive(Template)]
#[template(path = "page/operator/code_made.html")]
struct Shown {
    page: Page,
    name: String,
    count: i64,
    codes: Vec<String>,
}

/// The form as sent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Entered {
    name: String,
    kind: String,
    credits: String,
    valid_days: String,
    plan: String,
    periods: String,
    size: String,
    uses: String,
    /// Codes of the batch that one member may redeem.
    per_member: String,
    starts: String,
    ends: String,
    /// `page` or `file`: how the codes are wanted.
    answer: String,
}

impl Entered {
    fn is(&self, kind: &str) -> bool {
        self.kind == kind || (self.kind.is_empty() && kind == "credits")
    }

    fn read(&self, operator: &Operator, now: Timestamp) -> Result<NewBatch, Faults> {
        let mut faults = Faults::none();
        let name = faults.take("name", field::text(&self.name, 80));
        let gives = self.gives(&mut faults);
        let size = faults.take("size", within(&self.size, SIZE_MAX));
        let uses = faults.take("uses", within(&self.uses, 1_000_000));
        let most = |text: &str| within(text, SIZE_MAX);
        let per_member = faults.take("per_member", field::optional(&self.per_member, most));
        let start = |day: &str| field::start_of_day(day, now);
        let starts_at = faults.take("starts", field::optional(&self.starts, start));
        let end = |day: &str| field::end_of_day(day, now);
        let ends_at = faults.take("ends", field::optional(&self.ends, end));
        let times = starts_at.zip(ends_at);
        match (name, gives, size, uses.zip(per_member), times) {
            (
                Some(name),
                Some(gives),
                Some(size),
                Some((max_uses, most_per_member)),
                Some((starts_at, ends_at)),
            ) => Ok(NewBatch {
                id: CodeBatchId::fresh(),
                name,
                gives,
                size,
                max_uses,
                most_per_member,
                starts_at,
                ends_at,
                operator: operator.0.person(),
            }),
            _ => Err(faults),
        }
    }

    fn gives(&self, faults: &mut Faults) -> Option<Gives> {
        let days = |text: &str| within(text, 3_650);
        if self.is("plan") {
            let unknown = |_| phrase("op-fault-unknown");
            let version = self.plan.parse::<PlanVersionId>().map_err(unknown);
            let version = faults.take("plan", version);
            let periods = faults.take("periods", within(&self.periods, 120));
            return Some(Gives::Plan {
                version: version?,
                periods: periods?,
            });
        }
        let amount = faults.take("credits", field::some_credits(&self.credits));
        if self.is("promo") {
            let valid_days = faults.take("valid_days", days(&self.valid_days));
            return Some(Gives::Promotion {
                amount: amount?,
                valid_days: valid_days?,
            });
        }
        let valid_days = faults.take("valid_days", field::optional(&self.valid_days, days));
        Some(Gives::Credits {
            amount: amount?,
            valid_days: valid_days?,
        })
    }
}

fn within(text: &str, most: u32) -> Result<u32, Phrase> {
    let number = field::number(text, 1..=i64::from(most))?;
    u32::try_from(number).map_err(|_| phrase("op-fault-range"))
}

/// The form.
pub(crate) async fn show(page: Page, _operator: Operator, console: State) -> Answer {
    let form = Entered {
        periods: "1".to_owned(),
        size: "10".to_owned(),
        uses: "1".to_owned(),
        ..Entered::default()
    };

    reply::page(&view(page, &console, form, Faults::none()).await?)
}

/// The form sent. The answer is the codes themselves, for no later page could show them.
pub(crate) async fn submit(
    page: Page,
    operator: Operator,
    console: State,
    form: Protected<Entered>,
) -> Answer {
    let Protected(form) = form;
    if !["", "credits", "promo", "plan"].contains(&form.kind.as_str()) {
        return Err(Error::Malformed("kind".into()));
    }
    let now = console.clock.now();
    let order = match form.read(&operator, now) {
        Ok(order) => order,
        Err(faults) => return reply::refused(&view(page, &console, form, faults).await?),
    };

    let outcome = create_batch(&console.db, &console.code_keys, order, now).await;

    match outcome {
        Ok(made) if form.answer == "file" => Ok(file(&made)),
        Ok(made) => reply::page(&Shown {
            page,
            count: made.batch.size,
            codes: made
                .codes
                .iter()
                .map(billing::code::RedemptionCode::expose)
                .collect(),
            name: made.batch.name,
        }),
        Err(error) => {
            let faults = fault(error)?;
            reply::refused(&view(page, &console, form, faults).await?)
        }
    }
}

fn file(made: &Made) -> reply::Reply {
    let mut csv = String::from("code\r\n");
    for code in &made.codes {
        csv.push_str(&code.expose());
        csv.push_str("\r\n");
    }
    reply::file(
        format!("codes-{}.csv", made.batch.id),
        "text/csv; charset=utf-8",
        csv,
    )
}

fn fault(error: BatchError) -> Result<Faults, Error> {
    let range = phrase("op-fault-range");
    Ok(match error {
        BatchError::Name => Faults::of("name", phrase("op-fault-required")),
        BatchError::Size => Faults::of("size", range),
        BatchError::PerMember => Faults::of("per_member", range),
        BatchError::Uses => Faults::of("uses", range),
        BatchError::Amount => Faults::of("credits", range),
        BatchError::ValidDays => Faults::of("valid_days", range),
        BatchError::Periods => Faults::of("periods", range),
        BatchError::Dates => Faults::of("ends", range),
        BatchError::NoSuchPlan => Faults::of("plan", phrase("op-fault-unknown")),
        BatchError::Random(error) => return Err(Error::Internal(error.to_string())),
        BatchError::Store(error) => return Err(Error::Store(error)),
    })
}

async fn view(page: Page, console: &State, form: Entered, faults: Faults) -> Result<Make, Error> {
    let plans = plan::list(&console.db).await?;
    Ok(Make {
        page,
        plans: plans
            .into_iter()
            .map(|offered| Choice {
                chosen: offered.version.id.to_string() == form.plan,
                id: offered.version.id.to_string(),
                title: offered.plan.title,
            })
            .collect(),
        size_hint: phrase("op-code-size-hint").count("count", SIZE_MAX.into()),
        form,
        faults,
    })
}
