//! A database of its own for each test: a temporary SQLite file, or a fresh PostgreSQL database beside the one
//! that `TEST_DATABASE_URL` names.

use entity::{Database, Settings};
use sea_orm::ConnectionTrait;
use tempfile::TempDir;

/// A migrated database that goes away with the test.
pub struct TestDatabase {
    /// Where it is.
    pub url: String,
    server: Option<(String, String)>,
    _folder: Option<TempDir>,
}

impl TestDatabase {
    /// A database with nothing in it, not even a table.
    pub async fn empty() -> Self {
        Self::empty_on(server_url()).await
    }

    /// As [`TestDatabase::empty`], on this PostgreSQL or on SQLite.
    pub async fn empty_on(server: Option<String>) -> Self {
        let Some(server) = server else {
            let folder = tempfile::tempdir().expect("a temporary folder can be made");
            let file = folder.path().join("tollgate.sqlite");
            return Self {
                url: format!("sqlite://{}", file.display()),
                server: None,
                _folder: Some(folder),
            };
        };
        let name = format!(
            "tollgate_test_{}",
            entity::TenantId::fresh().uuid().simple()
        );
        run(&server, &format!("CREATE DATABASE {name}")).await;
        let mut url = url::Url::parse(&server).expect("TEST_DATABASE_URL is a URL");
        url.set_path(&name);
        Self {
            url: url.to_string(),
            server: Some((server, name)),
            _folder: None,
        }
    }

    /// A database with today's schema.
    pub async fn migrated() -> Self {
        Self::migrated_on(server_url()).await
    }

    /// As [`TestDatabase::migrated`], on this PostgreSQL or on SQLite.
    pub async fn migrated_on(server: Option<String>) -> Self {
        let database = Self::empty_on(server).await;
        migration::up(&database.url)
            .await
            .expect("the migrations run");
        database
    }

    /// Opens it with few connections, for many tests run at once.
    pub async fn open(&self) -> Database {
        let mut settings = Settings::new(&self.url);
        settings.write_connections = 6;
        settings.read_connections = 2;
        Database::open(&settings).await.expect("the database opens")
    }

    /// Removes it. A test that panicked leaves it to the server's own clean-up.
    pub async fn drop(self) {
        if let Some((server, name)) = &self.server {
            run(server, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
        }
    }
}

/// The PostgreSQL to test on, where there is one.
#[expect(
    clippy::disallowed_methods,
    reason = "tests are told by the environment which database to run on"
)]
pub fn server_url() -> Option<String> {
    std::env::var("TEST_DATABASE_URL").ok()
}

async fn run(server: &str, statement: &str) {
    let mut options = sea_orm::ConnectOptions::new(server);
    options.max_connections(1).sqlx_logging(false);
    let db = sea_orm::Database::connect(options)
        .await
        .expect("TEST_DATABASE_URL answers");
    db.execute_unprepared(statement)
        .await
        .expect("the server lets us make and drop databases");
    db.close().await.expect("the connection closes");
}
