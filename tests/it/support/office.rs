//! The console alone, on a real port: an operator, a member with a tenant, and browsers that keep their cookies.

use super::till::{NOW, Till};
use actix_web::{App, HttpServer, dev::ServerHandle};
use billing::code::CodeKeys;
use console::{Config, Console, FormSecret, Parts, mail::Post, routes};
use entity::{Clock, PersonId, Platform, person as row};
use identity::{
    EmailAddress,
    key::{KeyForm, Keys, PepperRing},
    operator::{self, CreateOperator},
    password::{Hasher, Password},
    person::{self, DisplayName, Locale, SignUp, SignedUp},
    seal::MasterKey,
};
use outbound::Outbound;
use reqwest::{Response, header};
use sea_orm::{ColumnTrait, QueryFilter, sea_query::Expr};
use std::{collections::BTreeMap, sync::Arc};

const OPERATOR: &str = "operator@example.org";
const MEMBER: &str = "ada@example.org";
/// Of the operator and of the member.
pub const PASSWORD: &str = "the lamp burns low at nine";
const PEPPER: &str = "1:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const MASTER: &str = "1:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752";

/// A running console.
pub struct Office {
    pub till: Till,
    /// Who runs it.
    pub operator: PersonId,
    /// Who does not.
    pub member: SignedUp,
    /// Where it listens: `http://127.0.0.1:1234`.
    pub base: String,
    server: ServerHandle,
}

/// Somebody who looks at pages.
pub struct Browser {
    base: String,
    http: reqwest::Client,
    cookies: BTreeMap<String, String>,
}

/// A page as it came.
pub struct Seen {
    pub status: u16,
    /// Where a redirect leads; empty where it is none.
    pub location: String,
    pub text: String,
}

impl Office {
    /// Opens one.
    pub async fn open() -> Self {
        let till = Till::open().await;
        let hasher = Hasher::new();
        let order = CreateOperator {
            email: email(OPERATOR),
            password: password(),
            display_name: name("Olive"),
            locale: Locale::English,
        };
        let (_, right) = operator::create(&till.db, &hasher, order, NOW)
            .await
            .expect("an operator");
        let order = SignUp {
            email: email(MEMBER),
            password: password(),
            display_name: name("Ada"),
            locale: Locale::English,
        };
        let member = person::sign_up(&till.db, &hasher, order, NOW)
            .await
            .expect("a member");
        verify(&till, member.person).await;
        let (server, base) = serve(console(&till, hasher));
        Self {
            till,
            operator: right.person(),
            member,
            base,
            server,
        }
    }

    /// Nobody yet.
    pub fn stranger(&self) -> Browser {
        Browser::at(&self.base)
    }

    /// The operator, signed in.
    pub async fn operator(&self) -> Browser {
        self.signed_in(OPERATOR).await
    }

    /// The member, signed in.
    pub async fn member(&self) -> Browser {
        self.signed_in(MEMBER).await
    }

    async fn signed_in(&self, email: &str) -> Browser {
        let mut browser = self.stranger();
        let fields = [("email", email), ("password", PASSWORD)];
        let seen = browser.send("/console/sign-in", &fields).await;
        assert_eq!(seen.status, 303, "sign-in is refused: {}", seen.text);
        browser
    }

    /// The console itself, for what its jobs do.
    pub fn console(&self) -> Console {
        console(&self.till, Hasher::new())
    }

    /// Stops it; the books are proved.
    pub async fn finish(self) {
        self.server.stop(false).await;
        self.till.finish().await;
    }
}

impl Browser {
    /// Somebody who was never here, in front of the pages at `base`.
    pub fn at(base: &str) -> Self {
        // Whoever comes first installs it; it is the same for all.
        drop(rustls::crypto::ring::default_provider().install_default());
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client");
        Self {
            base: base.to_owned(),
            http,
            cookies: BTreeMap::new(),
        }
    }

    /// Opens a page.
    pub async fn open(&mut self, path: &str) -> Seen {
        let request = self.http.get(format!("{}{path}", self.base));
        let response = request
            .header(header::COOKIE, self.cookie())
            .send()
            .await
            .expect("the console answers");
        self.seen(response).await
    }

    /// Fills in the form at `path` and sends it there.
    pub async fn send(&mut self, path: &str, fields: &[(&str, &str)]) -> Seen {
        self.send_from(path, path, fields).await
    }

    /// Presses a button of the page `from` whose form goes to `path`.
    pub async fn send_from(&mut self, from: &str, path: &str, fields: &[(&str, &str)]) -> Seen {
        let form = self.open(from).await;
        let token = between(&form.text, "name=\"form_token\" value=\"", "\"").unwrap_or_default();
        let body = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("form_token", token)
            .extend_pairs(fields)
            .finish();
        let request = self.http.post(format!("{}{path}", self.base));
        let response = request
            .header(header::COOKIE, self.cookie())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin")
            .body(body)
            .send()
            .await
            .expect("the console answers");
        self.seen(response).await
    }

    /// Its cookies, as the header has them.
    pub fn cookie(&self) -> String {
        let pairs: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("; ")
    }

    async fn seen(&mut self, response: Response) -> Seen {
        for cookie in response.headers().get_all(header::SET_COOKIE) {
            let text = cookie.to_str().expect("cookies are plain");
            let pair = text.split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let location = response.headers().get(header::LOCATION);
        Seen {
            status: response.status().as_u16(),
            location: location
                .map(|path| path.to_str().expect("a plain path").to_owned())
                .unwrap_or_default(),
            text: response.text().await.expect("a page"),
        }
    }
}

/// What stands between two texts.
pub fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
}

/// As if the link in the letter had been followed.
async fn verify(till: &Till, person: PersonId) {
    till.db
        .write(move |tx| {
            Box::pin(async move {
                row::Entity::change()
                    .col_expr(row::Column::EmailVerifiedAt, Expr::value(NOW))
                    .filter(row::Column::Id.eq(person))
                    .exec(tx)
                    .await
            })
        })
        .await
        .expect("the store answers");
}

fn email(text: &str) -> EmailAddress {
    EmailAddress::parse(text).expect("an address")
}

fn password() -> Password {
    Password::parse(PASSWORD).expect("a password")
}

fn name(text: &str) -> DisplayName {
    DisplayName::parse(text).expect("a name")
}

fn console(till: &Till, hasher: Hasher) -> Console {
    let keys = Keys::new(
        KeyForm::default(),
        PepperRing::parse(PEPPER).expect("a pepper"),
    );
    let outbound = Outbound::new(&outbound::Settings {
        allowed_cidrs: vec!["127.0.0.0/8".parse().expect("a network")],
        ..outbound::Settings::default()
    });
    Console::new(Parts {
        db: till.db.clone(),
        clock: Clock::fixed(NOW),
        hasher,
        keys: Arc::new(keys),
        code_keys: CodeKeys::new(&[7; 32]).expect("long enough"),
        master: MasterKey::parse(MASTER).expect("a master key"),
        outbound: outbound.expect("the settings are good"),
        payments: None,
        post: Post::memory(
            "Tollgate <post@example.org>",
            console::mail::Memory::default(),
        )
        .expect("a mailbox"),
        config: Config {
            public_url: "http://console.example".parse().expect("a URL"),
            site_name: "Tollgate".to_owned(),
            form_secret: FormSecret::new([5; 32]),
            trusted_proxies: Vec::new(),
            sign_up_open: true,
        },
    })
}

fn serve(console: Console) -> (ServerHandle, String) {
    let server = HttpServer::new(move || {
        let console = console.clone();
        App::new().configure(move |app| routes::mount(app, console))
    })
    .workers(1)
    .disable_signals()
    .bind(("127.0.0.1", 0))
    .expect("a free port");
    let base = format!("http://{}", server.addrs()[0]);
    let server = server.run();
    let handle = server.handle();
    tokio::spawn(server);
    (handle, base)
}
