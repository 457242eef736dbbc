//! Every variable there is. The reader accepts no other, and `.env.example` is printed from here.

use std::fmt::Write;

/// One variable.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its name in the environment; in the TOML file it is [`Variable::toml_key`].
    pub name: &'static str,
    /// What it is set to when it is not given, or an example where there is no such value.
    pub example: &'static str,
    /// Whether it may be given as a file too (`NAME_FILE`), and is never printed.
    pub secret: bool,
    /// What it is for.
    pub about: &'static str,
}

impl Variable {
    /// The name in the TOML file: lower case, without the product's prefix.
    pub fn toml_key(&self) -> String {
        self.name
            .strip_prefix("TOLLGATE_")
            .unwrap_or(self.name)
            .to_lowercase()
    }
}

const fn plain(name: &'static str, example: &'static str, about: &'static str) -> Variable {
    Variable {
        name,
        example,
        secret: false,
        about,
    }
}

const fn secret(name: &'static str, example: &'static str, about: &'static str) -> Variable {
    Variable {
        name,
        example,
        secret: true,
        about,
    }
}

/// All variables, in the order a person sets them.
pub static VARIABLES: &[Variable] = &[
    plain(
        "TOLLGATE_CONFIG",
        "/etc/tollgate.toml",
        "A TOML file with the variables below in lower case and without TOLLGATE_ (listen = \"..\"). The environment wins.",
    ),
    plain(
        "TOLLGATE_DATA_DIR",
        "data",
        "Where the embedded database, generated secrets and undelivered mail are kept.",
    ),
    plain(
        "TOLLGATE_LISTEN",
        "127.0.0.1:8080",
        "Address and port the server listens on.",
    ),
    plain(
        "TOLLGATE_PUBLIC_URL",
        "http://127.0.0.1:8080",
        "How people and clients reach this installation; https where a proxy ends TLS. No path.",
    ),
    plain(
        "TOLLGATE_SITE_NAME",
        "Tollgate",
        "What the installation is called in pages and mail.",
    ),
    plain(
        "TOLLGATE_SIGN_UP",
        "open",
        "open: anybody may sign up. closed: nobody may.",
    ),
    plain(
        "TOLLGATE_KEY_PREFIX",
        "sk-tg-",
        "What every API key begins with. Choose it before the first key.",
    ),
    plain(
        "TOLLGATE_TRUSTED_PROXIES",
        "",
        "Networks (10.0.0.0/8, comma separated) of reverse proxies whose X-Forwarded-For is believed.",
    ),
    plain("TOLLGATE_WORKERS", "2", "Threads that answer HTTP."),
    plain(
        "TOLLGATE_DRAIN_SECONDS",
        "30",
        "How long running answers may go on after SIGTERM.",
    ),
    plain(
        "TOLLGATE_LOG",
        "info",
        "What is logged: a level, or a list such as info,gateway=debug. Commands that print their outcome log warnings only, unless it is set.",
    ),
    plain("TOLLGATE_LOG_FORMAT", "pretty", "pretty or json."),
    secret(
        "DATABASE_URL",
        "postgres://tollgate:PASSWORD@127.0.0.1/tollgate",
        "PostgreSQL, or sqlite:///path. Without it: an SQLite file in the data directory.",
    ),
    plain(
        "TOLLGATE_DATABASE_CONNECTIONS",
        "10",
        "Connections for writing on PostgreSQL; SQLite has one.",
    ),
    secret(
        "TOLLGATE_KEY_PEPPER",
        "GENERATE",
        "Keys API key digests. Losing it makes every API key invalid. To replace it, put the new one first: 2:NEW,1:OLD; a key moves at its next use.",
    ),
    secret(
        "TOLLGATE_MASTER_KEY",
        "GENERATE",
        "Seals the upstream providers' secrets. Losing it means entering them again. To replace it, put the new one first: 2:NEW,1:OLD; a secret moves when it is entered anew.",
    ),
    secret(
        "TOLLGATE_SESSION_KEY",
        "GENERATE",
        "Signs form tokens and one-shot cookies.",
    ),
    secret(
        "TOLLGATE_CODE_KEY",
        "GENERATE",
        "Keys redemption code digests. Losing it makes unredeemed codes invalid.",
    ),
    plain(
        "TOLLGATE_OUTBOUND_ALLOWED_CIDRS",
        "",
        "Networks that upstream channels may use although they are not public (127.0.0.0/8, 10.1.2.0/24).",
    ),
    plain(
        "TOLLGATE_OUTBOUND_ALLOWED_PORTS",
        "",
        "Ports of public addresses that upstream channels may use beside 443 (8443, 9443).",
    ),
    secret(
        "TOLLGATE_OUTBOUND_PROXY",
        "socks5h://user:PASSWORD@127.0.0.1:1080",
        "Egress proxy for upstream calls: http, https or socks5.",
    ),
    secret(
        "STRIPE_SECRET_KEY",
        "sk_live_PASSWORD",
        "Stripe's secret key. Without it nothing can be bought and codes still work.",
    ),
    secret(
        "STRIPE_WEBHOOK_SECRET",
        "whsec_PASSWORD",
        "The signing secret of the endpoint /webhooks/stripe; several (comma separated) while one is replaced.",
    ),
    plain(
        "STRIPE_API_BASE",
        "https://api.stripe.com/",
        "Another address of Stripe's API, for tests.",
    ),
    plain(
        "SMTP_HOST",
        "smtp.example.com",
        "Mail server. Without it mail is written to files in the data directory.",
    ),
    plain(
        "SMTP_PORT",
        "465",
        "465 for tls, 587 for starttls, 25 for none.",
    ),
    plain(
        "SMTP_TLS",
        "tls",
        "tls, starttls, or none (only for a server on this machine).",
    ),
    plain("SMTP_USERNAME", "tollgate", "Account on the mail server."),
    secret("SMTP_PASSWORD", "PASSWORD", "Its password."),
    plain(
        "SMTP_FROM",
        "Tollgate <tollgate@example.com>",
        "Who mail is from.",
    ),
];

/// The text of `.env.example`.
pub fn example() -> String {
    let mut text = String::from(
        "# Every setting of Tollgate, with its default or an example. Nothing here must be set to start on the\n\
         # embedded database. A secret may be given as a file: NAME_FILE=/run/secrets/name.\n\
         # GENERATE and PASSWORD are refused: put a value of your own (openssl rand -hex 32) in their place.\n",
    );
    for variable in VARIABLES {
        write!(
            text,
            "\n# {}\n# {}={}\n",
            variable.about, variable.name, variable.example
        )
        .expect("writing to a string cannot fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_file_is_printed_from_the_table() {
        let committed = include_str!("../../../.env.example");

        assert_eq!(
            committed,
            example(),
            "run `tollgate config example > .env.example`"
        );
    }
}
