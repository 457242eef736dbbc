//! How the typed value is put together from words, every fault noted beside the way to mend it.

use super::{
    Config, Database, Faults, Key, Keys, Log, LogFormat, Mail, Overrides, Secret, Smtp, SmtpTls,
    Stripe, generated, reader::Reader,
};
use identity::ring::Ring;
use outbound::{IpNet, Url};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

pub(super) fn assemble(mut reader: Reader, overrides: &Overrides) -> Result<Config, Faults> {
    let own_data_dir = overrides
        .data_dir
        .clone()
        .or_else(|| reader.text("TOLLGATE_DATA_DIR").map(PathBuf::from));
    let data_dir = own_data_dir
        .clone()
        .unwrap_or_else(|| PathBuf::from("data"));
    let database = database(&mut reader, &data_dir);
    let may_draw = own_data_dir.is_some() || database.url.expose().starts_with("sqlite:");
    let keys = keys(&mut reader, may_draw.then_some(data_dir.as_path()));
    let (listen, public_url, workers, drain) = server(&mut reader);
    let site_name = reader.text("TOLLGATE_SITE_NAME").unwrap_or("Tollgate");
    let site_name = site_name.to_owned();
    let (sign_up_open, key_prefix) = policy(&mut reader);
    let trusted_proxies = networks(&mut reader, "TOLLGATE_TRUSTED_PROXIES");
    let allowed_cidrs = networks(&mut reader, "TOLLGATE_OUTBOUND_ALLOWED_CIDRS");
    let allowed_ports = reader.value(
        "TOLLGATE_OUTBOUND_ALLOWED_PORTS",
        Vec::new(),
        "ports with commas between them",
        |text| {
            let ports = text
                .split(',')
                .map(str::trim)
                .filter(|port| !port.is_empty());
            ports.map(|port| port.parse().ok()).collect()
        },
    );
    let proxy = proxy(&mut reader);
    let log = log(&mut reader);
    let stripe = stripe(&mut reader);
    let mail = mail(&mut reader);
    let Some(keys) = keys.filter(|_| reader.faults.is_empty()) else {
        return Err(reader.faults);
    };
    Ok(Config {
        data_dir,
        listen: overrides.listen.unwrap_or(listen),
        public_url,
        site_name,
        sign_up_open,
        key_prefix,
        trusted_proxies,
        workers,
        drain,
        log,
        database,
        keys,
        allowed_cidrs,
        allowed_ports,
        proxy,
        stripe,
        mail,
    })
}

fn server(reader: &mut Reader) -> (SocketAddr, Option<Url>, usize, Duration) {
    let listen = reader.value(
        "TOLLGATE_LISTEN",
        SocketAddr::from(([127, 0, 0, 1], 8080)),
        "an address and a port, such as 0.0.0.0:8080",
        |text| text.parse().ok(),
    );
    let public_url = public_url(reader);
    let workers = reader.value("TOLLGATE_WORKERS", 2, "a number from 1 to 256", |text| {
        text.parse().ok().filter(|count| (1..=256).contains(count))
    });
    let drain = reader.value(
        "TOLLGATE_DRAIN_SECONDS",
        Duration::from_secs(30),
        "a number of seconds from 0 to 3600",
        |text| {
            let seconds = text.parse().ok().filter(|seconds| *seconds <= 3600)?;
            Some(Duration::from_secs(seconds))
        },
    );
    (listen, public_url, workers, drain)
}

fn policy(reader: &mut Reader) -> (bool, String) {
    let open = reader.value("TOLLGATE_SIGN_UP", true, "open or closed", |text| {
        choice(text, &[("open", true), ("closed", false)])
    });
    let prefix = reader.value(
        "TOLLGATE_KEY_PREFIX",
        "sk-tg-".to_owned(),
        "3 to 16 lower-case letters, digits and dashes that end in a dash, and no other provider's prefix",
        |text| is_prefix(text).then(|| text.to_owned()),
    );
    (open, prefix)
}

fn proxy(reader: &mut Reader) -> Option<Url> {
    reader.value(
        "TOLLGATE_OUTBOUND_PROXY",
        None,
        "an http://, https:// or socks5:// address",
        |text| {
            let url = Url::parse(text).ok()?;
            ["http", "https", "socks5", "socks5h"]
                .contains(&url.scheme())
                .then_some(Some(url))
        },
    )
}

fn database(reader: &mut Reader, data_dir: &Path) -> Database {
    let own = format!("sqlite://{}", data_dir.join("tollgate.sqlite").display());
    let url = reader.value(
        "DATABASE_URL",
        own,
        "postgres://user:password@host/database, or sqlite:///path",
        |text| {
            let known = ["postgres://", "postgresql://", "sqlite://"];
            let persistent = !text.contains(":memory:");
            (persistent && known.iter().any(|scheme| text.starts_with(scheme)))
                .then(|| text.to_owned())
        },
    );
    Database {
        url: Secret::new(url),
        connections: reader.value(
            "TOLLGATE_DATABASE_CONNECTIONS",
            10,
            "a number from 5 to 200",
            |text| text.parse().ok().filter(|count| (5..=200).contains(count)),
        ),
    }
}

fn keys(reader: &mut Reader, data_dir: Option<&Path>) -> Option<Keys> {
    let ring = |text: &str| Ring::parse(text).map_err(|fault| fault.to_string());
    let single = |text: &str| Key::parse(text).map_err(str::to_owned);
    let pepper = key(reader, "TOLLGATE_KEY_PEPPER", "key-pepper", data_dir, ring);
    let master = key(reader, "TOLLGATE_MASTER_KEY", "master-key", data_dir, ring);
    let session = key(
        reader,
        "TOLLGATE_SESSION_KEY",
        "session-key",
        data_dir,
        single,
    );
    let code = key(reader, "TOLLGATE_CODE_KEY", "code-key", data_dir, single);
    Some(Keys {
        pepper: pepper?,
        master: master?,
        session: session?,
        code: code?,
    })
}

fn key<T>(
    reader: &mut Reader,
    name: &'static str,
    file: &str,
    data_dir: Option<&Path>,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Option<T> {
    let mend = "write 64 random hexadecimal digits: `openssl rand -hex 32`";
    match (reader.text(name).map(&parse), data_dir) {
        (Some(Ok(key)), _) => Some(key),
        (Some(Err(wrong)), _) => {
            reader.faults.add(name, wrong, mend);
            None
        }
        (None, Some(data_dir)) => generated::keep(data_dir, name, file, &mut reader.faults, parse),
        (None, None) => {
            reader.faults.add(
                name,
                "it is not set, and with PostgreSQL every replica needs the same",
                format!("{mend}, or set TOLLGATE_DATA_DIR to a volume where it may be kept"),
            );
            None
        }
    }
}

fn public_url(reader: &mut Reader) -> Option<Url> {
    reader.value(
        "TOLLGATE_PUBLIC_URL",
        None,
        "an address such as https://llm.example.com, without a path",
        |text| {
            let url = Url::parse(text).ok()?;
            let plain = ["http", "https"].contains(&url.scheme())
                && url.path() == "/"
                && url.query().is_none()
                && url.username().is_empty();
            plain.then_some(Some(url))
        },
    )
}

fn log(reader: &mut Reader) -> Log {
    Log {
        filter: reader.value(
            "TOLLGATE_LOG",
            None,
            "error, warn, info, debug or trace, or a list such as info,gateway=debug",
            |text| {
                tracing_subscriber::EnvFilter::try_new(text).ok()?;
                Some(Some(text.to_owned()))
            },
        ),
        format: reader.value(
            "TOLLGATE_LOG_FORMAT",
            LogFormat::Pretty,
            "pretty or json",
            |text| {
                choice(
                    text,
                    &[("pretty", LogFormat::Pretty), ("json", LogFormat::Json)],
                )
            },
        ),
    }
}

fn stripe(reader: &mut Reader) -> Option<Stripe> {
    let api_base = reader.value(
        "STRIPE_API_BASE",
        None,
        "an http or https address that ends in /",
        |text| {
            let url = Url::parse(text).ok()?;
            ["http", "https"]
                .contains(&url.scheme())
                .then_some(Some(url))
        },
    );
    let key = reader.text("STRIPE_SECRET_KEY").map(Secret::new);
    let webhook: Vec<Secret> = reader
        .text("STRIPE_WEBHOOK_SECRET")
        .map(|text| list(text).map(Secret::new).collect())
        .unwrap_or_default();
    match (key, webhook.is_empty()) {
        (Some(secret_key), false) => Some(Stripe {
            secret_key,
            webhook_secrets: webhook,
            api_base,
        }),
        (None, true) => None,
        (Some(_), true) => {
            reader.faults.add(
                "STRIPE_WEBHOOK_SECRET",
                "STRIPE_SECRET_KEY is set and this is not, so a payment could not be credited",
                "copy the signing secret of the webhook endpoint from Stripe's dashboard",
            );
            None
        }
        (None, false) => {
            reader.faults.add(
                "STRIPE_SECRET_KEY",
                "STRIPE_WEBHOOK_SECRET is set and this is not",
                "copy the secret key from Stripe's dashboard, or unset the other",
            );
            None
        }
    }
}

fn mail(reader: &mut Reader) -> Mail {
    let tls = reader.value("SMTP_TLS", SmtpTls::Tls, "tls, starttls or none", |text| {
        choice(
            text,
            &[
                ("tls", SmtpTls::Tls),
                ("starttls", SmtpTls::StartTls),
                ("none", SmtpTls::None),
            ],
        )
    });
    let usual = match tls {
        SmtpTls::Tls => 465,
        SmtpTls::StartTls => 587,
        SmtpTls::None => 25,
    };
    let port = reader.value("SMTP_PORT", usual, "a port number", |text| {
        text.parse().ok()
    });
    let host = reader.text("SMTP_HOST").map(str::to_owned);
    let from = reader.text("SMTP_FROM").map(str::to_owned);
    if host.is_some() && from.is_none() {
        reader.faults.add(
            "SMTP_FROM",
            "SMTP_HOST is set and this is not",
            "write who mail is from: Tollgate <tollgate@example.com>",
        );
    }
    let account = match (reader.text("SMTP_USERNAME"), reader.text("SMTP_PASSWORD")) {
        (Some(name), Some(password)) => Some((name.to_owned(), Secret::new(password))),
        (None, None) => None,
        _ => {
            reader.faults.add(
                "SMTP_PASSWORD",
                "SMTP_USERNAME and SMTP_PASSWORD go together",
                "set both or neither",
            );
            None
        }
    };
    Mail {
        from: from.unwrap_or_else(|| "Tollgate <tollgate@localhost>".to_owned()),
        smtp: host.map(|host| Smtp {
            host,
            port,
            tls,
            account,
        }),
    }
}

fn networks(reader: &mut Reader, name: &'static str) -> Vec<IpNet> {
    reader.value(
        name,
        Vec::new(),
        "networks such as 10.0.0.0/8, with commas between them",
        |text| list(text).map(|network| network.parse().ok()).collect(),
    )
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

fn choice<T: Copy>(text: &str, words: &[(&str, T)]) -> Option<T> {
    words
        .iter()
        .find(|(word, _)| word.eq_ignore_ascii_case(text))
        .map(|(_, value)| *value)
}

/// Prefixes of other providers' keys, which are recognised to tell a caller of a mix-up.
const FOREIGN_KEY_PREFIXES: [&str; 5] = ["sk-ant-", "sk-proj-", "sk-or-", "sk-svcacct-", "sk-"];

fn is_prefix(text: &str) -> bool {
    (3..=16).contains(&text.len())
        && text.ends_with('-')
        && !FOREIGN_KEY_PREFIXES.contains(&text)
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}
