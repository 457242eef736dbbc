//! A new plan with its first version.

use super::terms::{self, Entered};
use crate::frame::{Answer, Faults, Operator, Page, Protected, State, Tone, reply};
use crate::{pages::operator::field, words::phrase};
use askama::Template;
use billing::plan::{NewPlan, create};
use entity::PlanId;

#[derive(Template)]
#[template(path = "page/operator/plan_add.html")]
struct Add {
    page: Page,
    form: Entered,
    groups: Vec<(String, String)>,
    faults: Faults,
}

/// The form.
pub(crate) async fn show(page: Page, _operator: Operator, console: State) -> Answer {
    reply::page(&Add {
        page,
        groups: super::groups(&console.db).await?,
        form: Entered::default(),
        faults: Faults::none(),
    })
}

/// The form sent.
pub(crate) async fn submit(
    page: Page,
    operator: Operator,
    console: State,
    form: Protected<Entered>,
) -> Answer {
    let Protected(form) = form;
    let groups = super::groups(&console.db).await?;
    let mut faults = Faults::none();
    let title = faults.take("title", field::text(&form.title, 80));
    let (Some(title), Some(terms)) = (title, form.read(None, &mut faults)) else {
        return reply::refused(&Add {
            page,
            form,
            groups,
            faults,
        });
    };

    let order = NewPlan {
        id: PlanId::fresh(),
        name: form.name.trim().to_owned(),
        title,
        description: form.description.clone(),
        terms,
        operator: operator.0.person(),
    };
    let outcome = create(&console.db, order, console.clock.now()).await;

    match outcome {
        Ok(_) => Ok(reply::see_other(super::LIST).flash(
            Tone::Good,
            phrase("op-plan-created-done").with("name", form.title.trim()),
        )),
        Err(error) => {
            let faults = terms::fault(error)?;
            reply::refused(&Add {
                page,
                form,
                groups,
                faults,
            })
        }
    }
}
