//! One database with everything that happens to it, and what it answers.

use super::{
    dump::Dump,
    office::{ALLOWANCE, FIRST, GIVEN, GIVES, Gives, USES},
    script::{MODELS, NewLot, Step, TENANTS},
};
use crate::{
    model::{No, Outcome, said_of_end, said_of_extend, said_of_hold},
    support::books::{Books, Payer, nanos},
};
use billing::{
    admission::{HoldOrder, Scope},
    audit,
    cap::{self, Limit, SetCaps, Whose},
    code::{self, CodeKeys, NewBatch, Redeem, RedeemError, Redeemed, RedemptionCode},
    lane::Hold,
    ledger::{self, AdjustError, Adjustment, Change, Cost, GrantOrder, Limits},
    plan::{self, NewPlan, PlanDocument, Quantity, Terms, Window},
    rating::Tokens,
    subscription::{self, End, Subscribe},
    sweeper,
};
use entity::{
    Actor, CodeBatchId, Credits, DbErr, HoldId, ModelId, PersonId, PlanId, PlanVersionId, Platform,
    PriceVersionId, Scoped, SubscriptionId, member, model as model_table, plan_version::Period,
    subscription::Source, usage, wallet,
};
use sea_orm::{ColumnTrait, QueryFilter, sea_query::Expr};
use std::time::Duration;

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Held(Result<i64, No>),
    Ended(Result<Option<(Outcome, i64)>, No>),
    Extended(Result<i64, No>),
    Adjusted(Result<(), No>),
    /// How much of it repaid a debt.
    Granted(i64),
    Swept(u64),
    Lapsed(i64),
    Redeemed(Result<Gives, &'static str>),
    Renewed(u32, u32),
    /// Whether it was done.
    Did(bool),
}

/// A database and the guards of its running calls.
pub struct Side {
    pub books: Books,
    pub payers: Vec<Payer>,
    /// Each tenant's rows as they were last seen.
    pub seen: Vec<String>,
    models: Vec<(ModelId, PriceVersionId)>,
    keys: CodeKeys,
    codes: Vec<RedemptionCode>,
    plan: PlanVersionId,
    subscriptions: Vec<Vec<SubscriptionId>>,
    holds: Vec<(HoldOrder, Option<Hold>)>,
}

impl Side {
    pub async fn open(server: Option<&str>) -> Self {
        let books = Books::open_on(server).await;
        let mut payers = Vec::new();
        for _ in 0..TENANTS {
            let payer = books.payer().await;
            books.grant(&payer, FIRST).await;
            payers.push(payer);
        }
        let mut models = Vec::new();
        for name in MODELS {
            models.push(books.another_model(name).await);
        }
        let plan = daily(&books).await;
        let keys = CodeKeys::new(&[7; 32]).expect("a key");
        let mut codes = Vec::new();
        for (uses, gives) in USES.into_iter().zip(GIVES) {
            codes.push(one_code(&books, &keys, plan, uses, gives).await);
        }
        Self {
            seen: vec![String::new(); payers.len()],
            subscriptions: vec![Vec::new(); payers.len()],
            books,
            payers,
            models,
            keys,
            codes,
            plan,
            holds: Vec::new(),
        }
    }

    /// The tenant's rows now.
    pub async fn dump(&self, who: usize) -> Dump {
        Dump::of(&self.books.db, self.payers[who].tenant).await
    }

    pub async fn audit(&self, step: &Step) {
        let report = audit::prove(&self.books.db, self.books.now()).await;
        let report = report.expect("an audit");
        assert!(report.is_clean(), "after {step:?}:\n{report}");
    }

    /// Lets the step happen. A new call has this id.
    pub async fn perform(&mut self, step: &Step, id: HoldId) -> Reply {
        let reply = match step {
            Step::Hold {
                who,
                model,
                amount,
                least,
            } => self.hold(id, *who, *model, (*amount, *least)).await,
            Step::HoldAgain { call } => {
                let order = self.holds[*call].0.clone();
                let held = self.books.lanes.hold(order).await;
                let said = held.as_ref().map(Hold::amount);
                let reply = Reply::Held(match said {
                    Ok(amount) => Ok(amount.nanos()),
                    Err(_) => said_of_hold(&held.as_ref().map(Hold::amount).map_err(again)),
                });
                // The first guard ends it.
                std::mem::forget(held);
                reply
            }
            Step::Settle { call, charge } => {
                let settlement = self.books.settlement(*charge);
                let ended = self.take(*call).settle(settlement).await;
                Reply::Ended(said_of_end(&ended.map(Some)))
            }
            Step::Void { call } => {
                let ended = self.take(*call).void(usage::Finish::UpstreamError).await;
                Reply::Ended(said_of_end(&ended.map(Some)))
            }
            Step::EndAgain { call } => {
                let (tenant, id) = (self.holds[*call].0.tenant, self.holds[*call].0.id);
                let ended = self.books.lanes.expire(tenant, id, self.books.now()).await;
                Reply::Ended(said_of_end(&ended))
            }
            Step::Extend { call, extra, least } => {
                let hold = self.holds[*call].1.as_mut().expect("a guard");
                Reply::Extended(said_of_extend(
                    &hold.grow(nanos(*extra), nanos(*least)).await,
                ))
            }
            Step::Checkpoint { call, charge } => {
                let hold = self.holds[*call].1.as_mut().expect("a guard");
                hold.checkpoint(nanos(*charge), Tokens::default());
                Reply::Did(true)
            }
            Step::Drop { call } => {
                drop(self.take(*call));
                Reply::Did(true)
            }
            Step::Lose { call } => {
                std::mem::forget(self.take(*call));
                Reply::Did(true)
            }
            _ => self.perform_in_the_office(step).await,
        };
        // Whatever nobody waits for is written, too.
        while self.books.lanes.open() > 0 {
            tokio::task::yield_now().await;
        }
        reply
    }

    async fn perform_in_the_office(&mut self, step: &Step) -> Reply {
        let now = self.books.now();
        match step {
            Step::Grant(lot) => self.grant(lot).await,
            Step::Sweep => {
                let swept = sweeper::sweep(&self.books.db, &self.books.lanes, now).await;
                let swept = swept.expect("a sweep");
                assert_eq!((swept.left, swept.failed), (0, 0));
                Reply::Swept(swept.expired)
            }
            Step::Lapse => {
                let expired = ledger::expire_due(&self.books.db, now).await;
                Reply::Lapsed(expired.expect("a run").credits.nanos())
            }
            Step::Adjust { who, amount } => self.adjust(*who, *amount).await,
            Step::Freeze { who, on } => {
                let status = if *on {
                    wallet::Status::Frozen
                } else {
                    wallet::Status::Active
                };
                let (tenant, why) = (self.payers[*who].tenant, "a reason".to_owned());
                let set =
                    ledger::set_status(&self.books.db, tenant, status, Actor::System, why, now);
                set.await.expect("the wallet is set");
                Reply::Did(true)
            }
            Step::Ban { who, on } => self.ban(*who, *on).await,
            Step::Block { on } => self.block(*on).await,
            Step::KeyCap { who, most } => {
                let limit =
                    most.map(|most| Limit::credits(Window::FirstUse { hours: 2 }, nanos(most)));
                let order = SetCaps {
                    tenant: self.payers[*who].tenant,
                    whose: Whose::Key(self.payers[*who].key),
                    limits: limit.into_iter().collect(),
                    actor: Actor::System,
                    reason: None,
                };
                cap::set(&self.books.db, order, now).await.expect("a limit");
                Reply::Did(true)
            }
            Step::Limits {
                who,
                line,
                monthly,
                open,
                spend,
                calls,
            } => {
                let spend = spend.map(|most| Limit::credits(Window::Day, nanos(most)));
                let calls = calls.map(|most| Limit::Quota {
                    window: Window::Day,
                    most: Quantity::Requests(most),
                    models: Vec::new(),
                });
                let limits = Limits {
                    credit_line: nanos(*line),
                    credit_line_monthly: monthly.map(nanos),
                    max_open_holds: *open,
                    own: spend.into_iter().chain(calls).collect(),
                };
                let (tenant, why) = (self.payers[*who].tenant, "a reason".to_owned());
                let set =
                    ledger::set_limits(&self.books.db, tenant, limits, Actor::System, why, now);
                set.await.expect("the limits are set");
                Reply::Did(true)
            }
            Step::Redeem { who, code } => self.redeem(*who, *code).await,
            Step::Subscribe { who, periods } => self.subscribe(*who, *periods).await,
            Step::Cancel { who, subscription } => {
                self.end(*who, *subscription, End::AtPeriodEnd).await
            }
            Step::EndNow { who, subscription } => self.end(*who, *subscription, End::Now).await,
            Step::Renew => {
                let renewed = subscription::renew_due(&self.books.db, now)
                    .await
                    .expect("a run");
                Reply::Renewed(renewed.renewed, renewed.ended)
            }
            Step::Wait { minutes } => {
                self.books.clock.advance(Duration::from_mins(*minutes));
                Reply::Did(true)
            }
            other => panic!("{other:?} is no matter of the office"),
        }
    }

    fn take(&mut self, call: usize) -> Hold {
        self.holds[call].1.take().expect("a guard")
    }

    async fn hold(
        &mut self,
        id: HoldId,
        who: usize,
        model: usize,
        (amount, least): (i64, i64),
    ) -> Reply {
        let (model, price_version) = self.models[model];
        let order = HoldOrder {
            id,
            model,
            price_version,
            least: nanos(least),
            ..self.books.order(&self.payers[who], amount)
        };
        let held = self.books.lanes.hold(order.clone()).await;
        let (said, guard) = match held {
            Ok(hold) => (Ok(hold.amount()), Some(hold)),
            Err(refusal) => (Err(refusal), None),
        };
        self.holds.push((order, guard));
        Reply::Held(said_of_hold(&said))
    }

    async fn grant(&self, lot: &NewLot) -> Reply {
        let now = self.books.now();
        let hours = |hours| now.plus(Duration::from_hours(hours));
        let key = format!("grant:{}", now.micros());
        let from = if lot.later {
            now.plus(Duration::from_mins(20))
        } else {
            now
        };
        let order = GrantOrder {
            source: lot.source,
            effective_at: from,
            expires_at: lot.hours.map(hours),
            scope: Scope {
                models: lot.scope.iter().map(|&model| model.to_owned()).collect(),
            },
            cost: (lot.cost > 0).then(|| Cost {
                minor: lot.cost,
                currency: "usd".to_owned(),
            }),
            ..self
                .books
                .grant_order(&self.payers[lot.who], lot.amount, &key)
        };
        let first = self.books.grant_by(order.clone()).await;
        let again = self.books.grant_by(order).await;
        assert_eq!((first.replay, again.replay), (false, true));
        assert_eq!((again.grant, again.repaid), (first.grant, first.repaid));
        Reply::Granted(first.repaid.nanos())
    }

    async fn adjust(&self, who: usize, amount: i64) -> Reply {
        let change = if amount > 0 {
            Change::Credit {
                amount: nanos(amount),
                expires_at: None,
            }
        } else {
            Change::Debit {
                amount: nanos(-amount),
            }
        };
        let now = self.books.now();
        let adjustment = Adjustment {
            tenant: self.payers[who].tenant,
            change,
            business_key: format!("adjust:{}", now.micros()),
            actor: Actor::System,
            reason: "a reason".to_owned(),
        };
        match ledger::adjust(&self.books.db, adjustment.clone(), now).await {
            Ok(first) => {
                let again = ledger::adjust(&self.books.db, adjustment, now)
                    .await
                    .expect("again");
                assert_eq!((first.replay, again.replay), (false, true));
                assert_eq!(again.transaction, first.transaction);
                Reply::Adjusted(Ok(()))
            }
            Err(AdjustError::NotThere { available }) => {
                Reply::Adjusted(Err(No::Short(-amount, available.nanos())))
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    async fn ban(&self, who: usize, on: bool) -> Reply {
        let (tenant, id) = (self.payers[who].tenant, self.payers[who].member);
        let status = if on {
            member::Status::Banned
        } else {
            member::Status::Active
        };
        let set: Result<_, DbErr> = self
            .books
            .db
            .write(move |tx| {
                Box::pin(async move {
                    member::Entity::of_change(tenant)
                        .col_expr(member::Column::Status, Expr::value(status))
                        .filter(member::Column::Id.eq(id))
                        .exec(tx)
                        .await
                })
            })
            .await;
        set.expect("the member is set");
        Reply::Did(true)
    }

    async fn block(&self, on: bool) -> Reply {
        let (id, _) = self.models[0];
        let status = if on {
            model_table::Status::Blocked
        } else {
            model_table::Status::Active
        };
        let set: Result<_, DbErr> = self
            .books
            .db
            .write(move |tx| {
                Box::pin(async move {
                    model_table::Entity::change()
                        .col_expr(model_table::Column::Status, Expr::value(status))
                        .filter(model_table::Column::Id.eq(id))
                        .exec(tx)
                        .await
                })
            })
            .await;
        set.expect("the model is set");
        Reply::Did(true)
    }

    async fn redeem(&mut self, who: usize, code: usize) -> Reply {
        let order = Redeem {
            tenant: self.payers[who].tenant,
            member: self.payers[who].member,
            code: self.codes[code].clone(),
        };
        let redeemed = code::redeem(&self.books.db, &self.keys, order, self.books.now()).await;
        Reply::Redeemed(match redeemed {
            Ok(Redeemed::Credits {
                expires_at: None, ..
            }) => Ok(Gives::Credits),
            Ok(Redeemed::Credits { .. }) => Ok(Gives::Promotion),
            Ok(Redeemed::Plan { subscription, .. }) => {
                self.know(who, subscription);
                Ok(Gives::Plan)
            }
            Err(RedeemError::AlreadyRedeemed) => Err("already"),
            Err(RedeemError::UsedUp) => Err("used up"),
            Err(other) => panic!("{other:?}"),
        })
    }

    fn know(&mut self, who: usize, subscription: SubscriptionId) -> bool {
        let known = self.subscriptions[who].contains(&subscription);
        if !known {
            self.subscriptions[who].push(subscription);
        }
        !known
    }

    async fn subscribe(&mut self, who: usize, periods: Option<u32>) -> Reply {
        let order = Subscribe {
            id: SubscriptionId::fresh(),
            tenant: self.payers[who].tenant,
            version: self.plan,
            source: Source::Operator,
            periods,
            code: None,
            actor: Actor::System,
        };
        let subscribed = subscription::subscribe(&self.books.db, order, self.books.now()).await;
        let id = subscribed.expect("a subscription").id;
        Reply::Did(self.know(who, id))
    }

    async fn end(&self, who: usize, subscription: usize, end: End) -> Reply {
        let whose = (
            self.payers[who].tenant,
            self.subscriptions[who][subscription],
        );
        let ended = subscription::end(&self.books.db, whose, end, Actor::System, self.books.now());
        Reply::Did(ended.await.is_ok())
    }
}

/// The refusal of an order that was asked again; only its kind is told.
fn again(refusal: &billing::admission::HoldRefusal) -> billing::admission::HoldRefusal {
    use billing::admission::HoldRefusal;
    match refusal {
        HoldRefusal::IdInUse => HoldRefusal::IdInUse,
        other => panic!("{other:?}"),
    }
}

async fn daily(books: &Books) -> PlanVersionId {
    let order = NewPlan {
        id: PlanId::fresh(),
        name: "daily".to_owned(),
        title: "Daily".to_owned(),
        description: String::new(),
        terms: Terms {
            price_minor: 0,
            currency: "usd".to_owned(),
            period: Period::Day,
            allowance: nanos(ALLOWANCE),
            document: PlanDocument::open(),
        },
        operator: PersonId::fresh(),
    };
    plan::create(&books.db, order, books.now())
        .await
        .expect("a plan")
        .id
}

async fn one_code(
    books: &Books,
    keys: &CodeKeys,
    version: PlanVersionId,
    uses: usize,
    gives: Gives,
) -> RedemptionCode {
    let amount: Credits = nanos(GIVEN);
    let order = NewBatch {
        id: CodeBatchId::fresh(),
        name: "battery".to_owned(),
        gives: match gives {
            Gives::Credits => code::Gives::Credits {
                amount,
                valid_days: None,
            },
            Gives::Promotion => code::Gives::Promotion {
                amount,
                valid_days: 1,
            },
            Gives::Plan => code::Gives::Plan {
                version,
                periods: 1,
            },
        },
        size: 1,
        max_uses: u32::try_from(uses).expect("few"),
        most_per_member: None,
        starts_at: None,
        ends_at: None,
        operator: PersonId::fresh(),
    };
    let made = code::create_batch(&books.db, keys, order, books.now()).await;
    made.expect("a batch").codes.remove(0)
}
