//! The typed value and how it is read.

use super::{Faults, Key, Secret, generated, reader::Reader};
use identity::ring::Ring;
use outbound::{IpNet, Url};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// A whole installation's settings; a value in hand is complete and consistent.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where files are kept.
    pub data_dir: PathBuf,
    /// Where the server listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How people and clients reach it; `None` is where it listens.
    pub public_url: Option<Url>,
    /// What it is called.
    pub site_name: String,
    /// Whether strangers may sign up.
    pub sign_up_open: bool,
    /// What every API key begins with.
    pub key_prefix: String,
    /// Proxies that are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Threads that answer HTTP.
    pub workers: usize,
    /// How long running answers may go on at the end.
    pub drain: Duration,
    /// What is logged, and how.
    pub log: Log,
    /// Where rows are.
    pub database: Database,
    /// What signs, seals and keys.
    pub keys: Keys,
    /// Networks the upstream may be in although they are not public.
    pub allowed_cidrs: Vec<IpNet>,
    /// Ports of public addresses that upstream channels may use beside 443.
    pub allowed_ports: Vec<u16>,
    /// Egress proxy.
    pub proxy: Option<Url>,
    /// The payment provider; without it nothing can be bought.
    pub stripe: Option<Stripe>,
    /// How mail goes out.
    pub mail: Mail,
}

/// What is logged, and how.
#[derive(Clone, Debug)]
pub struct Log {
    /// A filter as `tracing` reads it; without one, each command has its own.
    pub filter: Option<String>,
    /// For people or for machines.
    pub format: LogFormat,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// Where rows are.
#[derive(Clone, Debug)]
pub struct Database {
    /// The address, which may hold a password.
    pub url: Secret,
    /// Connections for writing on PostgreSQL.
    pub connections: u32,
}

/// What signs, seals and keys.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Keys API key digests.
    pub pepper: Ring,
    /// Seals upstream secrets.
    pub master: Ring,
    /// Signs form tokens.
    pub session: Key,
    /// Keys redemption code digests.
    pub code: Key,
}

/// The payment provider.
#[derive(Clone, Debug)]
pub struct Stripe {
    /// Stripe's key.
    pub secret_key: Secret,
    /// What webhooks are signed with; more than one while one is replaced.
    pub webhook_secrets: Vec<Secret>,
    /// Where Stripe's API is, if not where it always is.
    pub api_base: Option<Url>,
}

/// How mail goes out.
#[derive(Clone, Debug)]
pub struct Mail {
    /// Who it is from.
    pub from: String,
    /// By which server; without one, into files.
    pub smtp: Option<Smtp>,
}

/// A mail server.
#[derive(Clone, Debug)]
pub struct Smtp {
    /// Its name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: SmtpTls,
    /// Account and password.
    pub account: Option<(String, Secret)>,
}

/// How a connection to the mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// From the first byte.
    Tls,
    /// After a greeting.
    StartTls,
    /// Not at all.
    None,
}

/// What the command line says over everything else.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--data-dir`
    pub data_dir: Option<PathBuf>,
    /// `--listen`
    pub listen: Option<SocketAddr>,
}

impl Config {
    /// Reads the environment of the process, once.
    ///
    /// # Errors
    /// Everything that is wrong, together.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the environment"
    )]
    pub fn load(overrides: &Overrides) -> Result<Self, Faults> {
        Self::read(&std::env::vars().collect(), overrides)
    }

    /// Reads `environment`, the file it or the command line names, and the secrets kept in the data directory.
    ///
    /// # Errors
    /// Everything that is wrong, together.
    pub fn read(
        environment: &BTreeMap<String, String>,
        overrides: &Overrides,
    ) -> Result<Self, Faults> {
        let path = overrides
            .config
            .clone()
            .or_else(|| environment.get("TOLLGATE_CONFIG").map(PathBuf::from));
        let file = path
            .as_deref()
            .map(|path| (path, std::fs::read_to_string(path)));
        let text = file.as_ref().and_then(|(_, text)| text.as_ref().ok());
        let mut reader = Reader::gather(environment, text.map(String::as_str));
        if let Some((path, Err(fault))) = &file {
            reader.faults.add(
                "TOLLGATE_CONFIG",
                format!("{} cannot be read: {fault}", path.display()),
                "name a file that this process may read, or none",
            );
        }
        assemble(reader, overrides)
    }

    /// How people and clients reach an installation that listens at `address`.
    pub fn public_url(&self, address: SocketAddr) -> Url {
        self.public_url.clone().unwrap_or_else(|| {
            Url::parse(&format!("http://{address}/"))
                .expect("a socket address is a host and a port")
        })
    }
}

fn assemble(mut reader: Reader, overrides: &Overrides) -> Result<Config, Faults> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(data: &Path, pairs: &[(&str, &str)]) -> Result<Config, Faults> {
        let environment = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let overrides = Overrides {
            data_dir: Some(data.to_owned()),
            ..Overrides::default()
        };
        Config::read(&environment, &overrides)
    }

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a folder for the test")
    }

    #[test]
    fn nothing_given_is_a_working_installation_whose_secrets_stay() {
        let data = folder();

        let first = read(data.path(), &[]).expect("defaults are whole");
        let second = read(data.path(), &[]).expect("defaults are whole");

        assert!(first.database.url.expose().starts_with("sqlite://"));
        assert!(first.stripe.is_none() && first.mail.smtp.is_none());
        assert_eq!(first.keys.pepper, second.keys.pepper);
        assert_ne!(first.keys.pepper, first.keys.master);
    }

    #[test]
    fn a_pepper_may_stand_before_the_one_it_replaces_and_not_after_it() {
        let data = folder();
        let old = "9f2c4d7be1a05386c4f7d2180b6e93a57cd1480fe6b25933a81d64fc0e729b5a";
        let new = "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752";

        let rotated = read(
            data.path(),
            &[("TOLLGATE_KEY_PEPPER", &format!("2:{new},1:{old}"))],
        );
        let reversed = read(
            data.path(),
            &[("TOLLGATE_KEY_PEPPER", &format!("1:{old},2:{new}"))],
        );
        let bare = read(
            data.path(),
            &[("TOLLGATE_MASTER_KEY", &format!("{new},{old}"))],
        );

        assert!(rotated.is_ok());
        assert!(
            reversed
                .expect_err("out of order")
                .to_string()
                .contains("stands first")
        );
        assert!(
            bare.expect_err("without numbers")
                .to_string()
                .contains("2:new,1:old")
        );
    }

    #[test]
    fn generated_secrets_are_for_the_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let data = folder();

        read(data.path(), &[]).expect("defaults are whole");

        let secrets: Vec<_> = std::fs::read_dir(data.path().join("secrets"))
            .expect("secrets were drawn")
            .map(|entry| {
                entry
                    .and_then(|entry| entry.metadata())
                    .expect("a file")
                    .permissions()
                    .mode()
                    & 0o777
            })
            .collect();
        assert_eq!(secrets, [0o600; 4]);
    }

    #[test]
    fn all_faults_are_reported_at_once() {
        let data = folder();

        let faults = read(
            data.path(),
            &[
                ("TOLLGATE_LISTEN", "everywhere"),
                ("TOLLGATE_PUBLIC_URL", "https://x.example/path"),
                ("TOLLGATE_LISTEM", "127.0.0.1:1"),
                ("TOLLGATE_KEY_PEPPER", "GENERATE"),
                ("TOLLGATE_MASTER_KEY", "abc"),
                ("STRIPE_SECRET_KEY", "sk_test_1"),
                ("SMTP_HOST", "mail.example"),
                ("DATABASE_URL", "mysql://x"),
            ],
        )
        .expect_err("all of these are wrong");

        let mut named: Vec<&str> = faults.iter().map(|fault| fault.variable.as_str()).collect();
        named.sort_unstable();
        assert_eq!(
            named,
            [
                "DATABASE_URL",
                "SMTP_FROM",
                "STRIPE_WEBHOOK_SECRET",
                "TOLLGATE_KEY_PEPPER",
                "TOLLGATE_LISTEM",
                "TOLLGATE_LISTEN",
                "TOLLGATE_MASTER_KEY",
                "TOLLGATE_PUBLIC_URL",
            ]
        );
        assert!(faults.iter().all(|fault| !fault.mend.is_empty()));
        assert!(faults.to_string().contains("TOLLGATE_LISTEN"));
    }

    #[test]
    fn a_secret_may_be_a_file_but_not_both() {
        let data = folder();
        let file = data.path().join("pepper");
        let random = "9f2c4d7be1a05386c4f7d2180b6e93a57cd1480fe6b25933a81d64fc0e729b5a";
        std::fs::write(&file, format!("{random}\n")).expect("a file for the test");
        let path = file.display().to_string();

        let by_file = read(data.path(), &[("TOLLGATE_KEY_PEPPER_FILE", &path)]);
        let both = read(
            data.path(),
            &[
                ("TOLLGATE_KEY_PEPPER_FILE", &path),
                ("TOLLGATE_KEY_PEPPER", random),
            ],
        );

        assert_eq!(
            by_file.expect("a file is enough").keys.pepper,
            Ring::parse(random).expect("a ring")
        );
        assert!(both.is_err());
    }

    #[test]
    fn postgres_without_a_data_directory_wants_its_secrets_given() {
        let environment = BTreeMap::from([(
            "DATABASE_URL".to_owned(),
            "postgres://tollgate@127.0.0.1/tollgate".to_owned(),
        )]);

        let faults =
            Config::read(&environment, &Overrides::default()).expect_err("secrets are missing");

        assert_eq!(
            faults.iter().next().map(|fault| fault.variable.as_str()),
            Some("TOLLGATE_KEY_PEPPER")
        );
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let data = folder();
        let file = data.path().join("tollgate.toml");
        std::fs::write(
            &file,
            "listen = \"127.0.0.1:1111\"\nsite_name = \"Gate\"\nworkers = 3\n",
        )
        .expect("a file for the test");

        let config = read(
            data.path(),
            &[
                ("TOLLGATE_CONFIG", &file.display().to_string()),
                ("TOLLGATE_LISTEN", "127.0.0.1:2222"),
            ],
        )
        .expect("both are well formed");

        assert_eq!(config.listen.port(), 2222);
        assert_eq!((config.site_name.as_str(), config.workers), ("Gate", 3));
    }
}
