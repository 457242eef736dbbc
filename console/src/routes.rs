//! Every path of the console and the handler behind it, and who may see it.

use crate::{
    Console, Error, assets,
    frame::visit,
    pages::{
        account::{recover, setup, sign_in, sign_out, sign_up, verify},
        buy, docs, home, key, operator,
        operator::reasoned,
        overview, plan, preferences, redeem, rejections,
        settings::{password, profile, sessions, tenants},
        statement, usage,
    },
};
use actix_web::{
    Handler, Resource, Responder, Route as ActixRoute, guard,
    middleware::from_fn,
    web::{self, ServiceConfig},
};

/// Who may see a page; the extractors of its handlers enforce it, and a test asks every path as each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Public,
    /// Who is signed in.
    Member,
    /// Operators, and support where the page only shows.
    Operator,
}

/// One row of the table.
pub struct Route {
    /// The path, in actix's pattern language.
    pub path: &'static str,
    /// The methods it answers.
    pub methods: &'static str,
    /// Who may see it.
    pub access: Access,
    mount: fn(Resource) -> Resource,
}

const fn show(path: &'static str, access: Access, mount: fn(Resource) -> Resource) -> Route {
    Route {
        path,
        methods: "GET, HEAD",
        access,
        mount,
    }
}

const fn form(path: &'static str, access: Access, mount: fn(Resource) -> Resource) -> Route {
    Route {
        path,
        methods: "GET, HEAD, POST",
        access,
        mount,
    }
}

const fn act(path: &'static str, access: Access, mount: fn(Resource) -> Resource) -> Route {
    Route {
        path,
        methods: "POST",
        access,
        mount,
    }
}

/// `show` rows answer GET and HEAD, `act` rows POST, `form` rows both.
pub static ROUTES: &[Route] = &[
    show("/", Access::Public, |r| r.route(get(home::show))),
    show("/static/{version}/{name}", Access::Public, |r| {
        r.route(get(assets::show))
    }),
    show("/docs", Access::Public, |r| r.route(get(docs::start))),
    show("/docs/{slug}", Access::Public, |r| r.route(get(docs::show))),
    act("/console/preferences", Access::Public, |r| {
        r.route(post(preferences::submit))
    }),
    form("/console/sign-up", Access::Public, |r| {
        r.route(get(sign_up::show)).route(post(sign_up::submit))
    }),
    show("/console/sign-up/sent", Access::Public, |r| {
        r.route(get(sign_up::sent))
    }),
    form("/console/verify", Access::Public, |r| {
        r.route(get(verify::show_again))
            .route(post(verify::submit_again))
    }),
    form("/console/verify/{token}", Access::Public, |r| {
        r.route(get(verify::show)).route(post(verify::submit))
    }),
    form("/console/sign-in", Access::Public, |r| {
        r.route(get(sign_in::show)).route(post(sign_in::submit))
    }),
    form("/console/recover", Access::Public, |r| {
        r.route(get(recover::show)).route(post(recover::submit))
    }),
    show("/console/recover/sent", Access::Public, |r| {
        r.route(get(recover::sent))
    }),
    form("/console/recover/{token}", Access::Public, |r| {
        r.route(get(recover::show_reset))
            .route(post(recover::submit_reset))
    }),
    form("/console/setup/{token}", Access::Public, |r| {
        r.route(get(setup::show)).route(post(setup::submit))
    }),
    act("/console/sign-out", Access::Member, |r| {
        r.route(post(sign_out::submit))
    }),
    show("/console", Access::Member, |r| r.route(get(overview::show))),
    show("/console/keys", Access::Member, |r| {
        r.route(get(key::list::show))
    }),
    form("/console/keys/new", Access::Member, |r| {
        r.route(get(key::issue::show))
            .route(post(key::issue::submit))
    }),
    act("/console/keys/{id}/disable", Access::Member, |r| {
        r.route(post(key::change::disable))
    }),
    act("/console/keys/{id}/enable", Access::Member, |r| {
        r.route(post(key::change::enable))
    }),
    form("/console/keys/{id}/limits", Access::Member, |r| {
        r.route(get(key::limits::show))
            .route(post(key::limits::submit))
    }),
    form("/console/keys/{id}/revoke", Access::Member, |r| {
        r.route(get(key::revoke::show))
            .route(post(key::revoke::submit))
    }),
    show("/console/usage", Access::Member, |r| {
        r.route(get(usage::list::show))
    }),
    show("/console/usage/{id}", Access::Member, |r| {
        r.route(get(usage::call::show))
    }),
    show("/console/usage.csv", Access::Member, |r| {
        r.route(get(usage::export::show))
    }),
    show("/console/statement", Access::Member, |r| {
        r.route(get(statement::list::show))
    }),
    show("/console/statement.csv", Access::Member, |r| {
        r.route(get(statement::export::show))
    }),
    show("/console/statement/{id}", Access::Member, |r| {
        r.route(get(statement::entry::show))
    }),
    show("/console/rejections", Access::Member, |r| {
        r.route(get(rejections::show))
    }),
    form("/console/redeem", Access::Member, |r| {
        r.route(get(redeem::show)).route(post(redeem::submit))
    }),
    form("/console/buy", Access::Member, |r| {
        r.route(get(buy::show)).route(post(buy::submit))
    }),
    show("/console/orders/{id}", Access::Member, |r| {
        r.route(get(buy::show_order))
    }),
    form("/console/plans", Access::Member, |r| {
        r.route(get(plan::list::show))
            .route(post(plan::list::subscribe))
    }),
    form("/console/subscriptions/{id}", Access::Member, |r| {
        r.route(get(plan::change::show))
            .route(post(plan::change::submit))
    }),
    act("/console/subscriptions/{id}/cancel", Access::Member, |r| {
        r.route(post(plan::cancel::submit))
    }),
    act("/console/subscriptions/{id}/resume", Access::Member, |r| {
        r.route(post(plan::cancel::undo))
    }),
    form("/console/settings", Access::Member, |r| {
        r.route(get(profile::show)).route(post(profile::submit))
    }),
    form("/console/settings/password", Access::Member, |r| {
        r.route(get(password::show)).route(post(password::submit))
    }),
    act(
        "/console/settings/tenants/{id}/switch",
        Access::Member,
        |r| r.route(post(tenants::switch)),
    ),
    act("/console/settings/sessions/end", Access::Member, |r| {
        r.route(post(sessions::end_others))
    }),
    act("/console/settings/sessions/{id}/end", Access::Member, |r| {
        r.route(post(sessions::end))
    }),
    show("/console/operator", Access::Operator, |r| {
        r.route(get(operator::overview::show))
    }),
    show("/console/operator/tenants", Access::Operator, |r| {
        r.route(get(operator::tenant::list::show))
    }),
    show("/console/operator/tenants/{id}", Access::Operator, |r| {
        r.route(get(operator::tenant::show::show))
    }),
    form(
        "/console/operator/tenants/{id}/suspend",
        Access::Operator,
        |r| {
            r.route(get(reasoned::show::<operator::tenant::suspend::Suspend>))
                .route(post(reasoned::submit::<operator::tenant::suspend::Suspend>))
        },
    ),
    form(
        "/console/operator/tenants/{id}/resume",
        Access::Operator,
        |r| {
            r.route(get(reasoned::show::<operator::tenant::resume::Resume>))
                .route(post(reasoned::submit::<operator::tenant::resume::Resume>))
        },
    ),
    form(
        "/console/operator/tenants/{id}/adjust",
        Access::Operator,
        |r| {
            r.route(get(operator::tenant::adjust::show))
                .route(post(operator::tenant::adjust::submit))
        },
    ),
    form(
        "/console/operator/tenants/{id}/grant",
        Access::Operator,
        |r| {
            r.route(get(operator::tenant::grant::show))
                .route(post(operator::tenant::grant::submit))
        },
    ),
    form(
        "/console/operator/tenants/{id}/plans/new",
        Access::Operator,
        |r| {
            r.route(get(operator::tenant::give_plan::show))
                .route(post(operator::tenant::give_plan::submit))
        },
    ),
    form(
        "/console/operator/subscriptions/{id}/end",
        Access::Operator,
        |r| {
            r.route(get(reasoned::show::<operator::tenant::end_plan::EndPlan>))
                .route(post(
                    reasoned::submit::<operator::tenant::end_plan::EndPlan>,
                ))
        },
    ),
    form(
        "/console/operator/tenants/{id}/write-off",
        Access::Operator,
        |r| {
            r.route(get(operator::tenant::write_off::show))
                .route(post(operator::tenant::write_off::submit))
        },
    ),
    form(
        "/console/operator/tenants/{id}/multiplier",
        Access::Operator,
        |r| {
            r.route(get(operator::tenant::multiplier::show))
                .route(post(operator::tenant::multiplier::submit))
        },
    ),
    show(
        "/console/operator/tenants/{id}/statement",
        Access::Operator,
        |r| r.route(get(operator::tenant::statement::show)),
    ),
    show(
        "/console/operator/tenants/{id}/statement.csv",
        Access::Operator,
        |r| r.route(get(operator::tenant::statement::show_file)),
    ),
    show(
        "/console/operator/tenants/{id}/usage.csv",
        Access::Operator,
        |r| r.route(get(operator::tenant::statement::show_calls)),
    ),
    show("/console/operator/entries/{id}", Access::Operator, |r| {
        r.route(get(operator::tenant::statement::show_entry))
    }),
    show("/console/operator/calls/{id}", Access::Operator, |r| {
        r.route(get(operator::call::show::show))
    }),
    form(
        "/console/operator/calls/{id}/refund",
        Access::Operator,
        |r| {
            r.route(get(operator::call::refund::show))
                .route(post(operator::call::refund::submit))
        },
    ),
    form(
        "/console/operator/tenants/{id}/limits",
        Access::Operator,
        |r| {
            r.route(get(operator::tenant::limits::show))
                .route(post(operator::tenant::limits::submit))
        },
    ),
    form(
        "/console/operator/tenants/{id}/members/new",
        Access::Operator,
        |r| {
            r.route(get(operator::tenant::add_member::show))
                .route(post(operator::tenant::add_member::submit))
        },
    ),
    form(
        "/console/operator/members/{id}/ban",
        Access::Operator,
        |r| {
            r.route(get(reasoned::show::<operator::member::ban::Ban>))
                .route(post(reasoned::submit::<operator::member::ban::Ban>))
        },
    ),
    form(
        "/console/operator/members/{id}/limits",
        Access::Operator,
        |r| {
            r.route(get(operator::member::limits::show))
                .route(post(operator::member::limits::submit))
        },
    ),
    form(
        "/console/operator/members/{id}/unban",
        Access::Operator,
        |r| {
            r.route(get(reasoned::show::<operator::member::unban::Unban>))
                .route(post(reasoned::submit::<operator::member::unban::Unban>))
        },
    ),
    show("/console/operator/models", Access::Operator, |r| {
        r.route(get(operator::model::list::show))
    }),
    form("/console/operator/models/import", Access::Operator, |r| {
        r.route(get(operator::model::import::show))
            .route(post(operator::model::import::submit))
    }),
    form(
        "/console/operator/models/{id}/block",
        Access::Operator,
        |r| {
            r.route(get(reasoned::show::<operator::model::block::Block>))
                .route(post(reasoned::submit::<operator::model::block::Block>))
        },
    ),
    act(
        "/console/operator/models/{id}/unblock",
        Access::Operator,
        |r| r.route(post(operator::model::unblock::submit)),
    ),
    form(
        "/console/operator/models/{id}/price",
        Access::Operator,
        |r| {
            r.route(get(operator::model::price::show))
                .route(post(operator::model::price::submit))
        },
    ),
    show("/console/operator/groups", Access::Operator, |r| {
        r.route(get(operator::group::list::show))
    }),
    form("/console/operator/groups/new", Access::Operator, |r| {
        r.route(get(operator::group::add::show))
            .route(post(operator::group::add::submit))
    }),
    form("/console/operator/groups/{id}", Access::Operator, |r| {
        r.route(get(operator::group::change::show))
            .route(post(operator::group::change::submit))
    }),
    show("/console/operator/channels", Access::Operator, |r| {
        r.route(get(operator::channel::list::show))
    }),
    form("/console/operator/channels/new", Access::Operator, |r| {
        r.route(get(operator::channel::add::show))
            .route(post(operator::channel::add::submit))
    }),
    form("/console/operator/channels/{id}", Access::Operator, |r| {
        r.route(get(operator::channel::change::show))
            .route(post(operator::channel::change::submit))
    }),
    form(
        "/console/operator/channels/{id}/models",
        Access::Operator,
        |r| {
            r.route(get(operator::channel::models::show))
                .route(post(operator::channel::models::submit))
        },
    ),
    act(
        "/console/operator/channels/{id}/options",
        Access::Operator,
        |r| r.route(post(operator::channel::options::submit)),
    ),
    act(
        "/console/operator/channels/{id}/keys",
        Access::Operator,
        |r| r.route(post(operator::channel::keys::submit)),
    ),
    act(
        "/console/operator/channels/{id}/ignore",
        Access::Operator,
        |r| r.route(post(operator::channel::ignore::submit)),
    ),
    act(
        "/console/operator/channels/{id}/test",
        Access::Operator,
        |r| r.route(post(operator::channel::test::submit)),
    ),
    act(
        "/console/operator/channels/{id}/enable",
        Access::Operator,
        |r| r.route(post(operator::channel::enable::submit)),
    ),
    form(
        "/console/operator/channels/{id}/disable",
        Access::Operator,
        |r| {
            r.route(get(reasoned::show::<operator::channel::disable::Disable>))
                .route(post(
                    reasoned::submit::<operator::channel::disable::Disable>,
                ))
        },
    ),
    show("/console/operator/codes", Access::Operator, |r| {
        r.route(get(operator::code::list::show))
    }),
    form("/console/operator/codes/new", Access::Operator, |r| {
        r.route(get(operator::code::make::show))
            .route(post(operator::code::make::submit))
    }),
    form(
        "/console/operator/codes/{id}/disable",
        Access::Operator,
        |r| {
            r.route(get(reasoned::show::<operator::code::disable::DisableBatch>))
                .route(post(
                    reasoned::submit::<operator::code::disable::DisableBatch>,
                ))
        },
    ),
    show("/console/operator/plans", Access::Operator, |r| {
        r.route(get(operator::plan::list::show))
    }),
    form("/console/operator/plans/new", Access::Operator, |r| {
        r.route(get(operator::plan::add::show))
            .route(post(operator::plan::add::submit))
    }),
    form("/console/operator/plans/{id}", Access::Operator, |r| {
        r.route(get(operator::plan::publish::show))
            .route(post(operator::plan::publish::submit))
    }),
    act(
        "/console/operator/plans/{id}/status",
        Access::Operator,
        |r| r.route(post(operator::plan::status::submit)),
    ),
    show("/console/operator/plans/{id}/try", Access::Operator, |r| {
        r.route(get(operator::plan::try_out::show))
    }),
    show("/console/operator/orders", Access::Operator, |r| {
        r.route(get(operator::order::list::show))
    }),
    show("/console/operator/orders/{id}", Access::Operator, |r| {
        r.route(get(operator::order::show::show))
    }),
    show("/console/operator/inbox", Access::Operator, |r| {
        r.route(get(operator::order::inbox::show))
    }),
    show("/console/operator/doubts", Access::Operator, |r| {
        r.route(get(operator::doubts::show))
    }),
    show("/console/operator/audit", Access::Operator, |r| {
        r.route(get(operator::audit::show))
    }),
];

fn get<F, Args>(handler: F) -> ActixRoute
where
    F: Handler<Args>,
    Args: actix_web::FromRequest + 'static,
    F::Output: Responder + 'static,
{
    web::route()
        .guard(guard::Any(guard::Get()).or(guard::Head()))
        .to(handler)
}

fn post<F, Args>(handler: F) -> ActixRoute
where
    F: Handler<Args>,
    Args: actix_web::FromRequest + 'static,
    F::Output: Responder + 'static,
{
    web::post().to(handler)
}

/// Mounts the console. The app must hold the [`Console`] as `web::Data`.
pub fn configure(app: &mut ServiceConfig) {
    for route in ROUTES {
        let allow = route.methods;
        let resource =
            (route.mount)(web::resource(route.path)).default_service(web::to(move || async move {
                Err::<String, Error>(Error::Method { allow })
            }));
        app.service(resource.wrap(from_fn(visit)));
    }
    for rest in ["/console/{rest:.*}", "/docs/{rest:.*}", "/static/{rest:.*}"] {
        app.service(web::resource(rest).to(missing).wrap(from_fn(visit)));
    }
}

/// Mounts the console with its state, for an app of its own.
pub fn mount(app: &mut ServiceConfig, console: Console) {
    app.app_data(web::Data::new(console)).configure(configure);
}

async fn missing() -> Result<String, Error> {
    Err(Error::NotFound)
}
