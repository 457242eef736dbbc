//! Accounts below the pages: sign-up, proved mailboxes and sessions on a till's database.

use super::till::{NOW, Till};
use entity::{PersonId, Timestamp, email_token::Purpose};
use identity::{
    EmailAddress, Operator, SessionToken, SignedIn, TokenSecret, email_token,
    key::{KeyForm, KeyName, Keys, PepperRing},
    operator::{self, CreateOperator},
    password::{Attempt, Hasher, Password},
    person::{self, DisplayName, Locale, SignUp, SignUpError, SignedUp},
    session::{self, SignIn, SignInError},
};

pub const PASSWORD: &str = "the lamp burns low at nine";
const PEPPER: &str = "1:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/// A till and who signs in there.
pub struct People {
    pub till: Till,
    pub hasher: Hasher,
    pub keys: Keys,
}

impl People {
    /// Nobody yet, and the default group.
    pub async fn open() -> Self {
        let till = Till::open().await;
        billing::shop::group::ensure_default(&till.db, NOW)
            .await
            .expect("the default group is made");
        let peppers = PepperRing::parse(PEPPER).expect("a pepper");
        Self {
            till,
            hasher: Hasher::new(),
            keys: Keys::new(KeyForm::default(), peppers),
        }
    }

    /// A stranger signs up.
    pub async fn sign_up(&self, address: &str) -> Result<SignedUp, SignUpError> {
        let order = SignUp {
            email: email(address),
            password: password(PASSWORD),
            display_name: name("Augusta"),
            locale: Locale::English,
        };
        person::sign_up(&self.till.db, &self.hasher, order, NOW).await
    }

    /// The secret of a letter, as its sender makes it.
    pub async fn letter(&self, to: PersonId, purpose: Purpose, now: Timestamp) -> TokenSecret {
        self.till
            .db
            .write(move |tx| {
                Box::pin(async move { email_token::mint_in(tx, to, purpose, now).await })
            })
            .await
            .expect("a letter")
    }

    /// Somebody with a proved mailbox and a session.
    pub async fn member(&self, address: &str) -> SignedIn {
        let made = self.sign_up(address).await.expect("a new account");
        let secret = self.letter(made.person, Purpose::Verify, NOW).await;
        email_token::verify_email(&self.till.db, &secret, NOW)
            .await
            .expect("the link is good");
        self.sign_in(address, PASSWORD, NOW)
            .await
            .expect("a session")
            .1
    }

    /// Somebody who runs the installation.
    pub async fn operator(&self, address: &str) -> (SignedUp, Operator) {
        let order = CreateOperator {
            email: email(address),
            password: password(PASSWORD),
            display_name: name("Olive"),
            locale: Locale::English,
        };
        operator::create(&self.till.db, &self.hasher, order, NOW)
            .await
            .expect("an operator")
    }

    /// Somebody tries to sign in.
    pub async fn sign_in(
        &self,
        address: &str,
        password: &str,
        now: Timestamp,
    ) -> Result<(SessionToken, SignedIn), SignInError> {
        let order = SignIn {
            email: email(address),
            password: Attempt::new(password),
            address: None,
            user_agent: Some("Browser/1.0".to_owned()),
            replaces: None,
        };
        session::sign_in(&self.till.db, &self.hasher, order, now).await
    }

    /// Whose session it is.
    pub async fn resume(&self, token: &SessionToken, now: Timestamp) -> Option<SignedIn> {
        session::resume(&self.till.db, token, now)
            .await
            .expect("the store answers")
    }
}

pub fn email(text: &str) -> EmailAddress {
    EmailAddress::parse(text).expect("an address")
}

pub fn password(text: &str) -> Password {
    Password::parse(text).expect("a password")
}

pub fn name(text: &str) -> DisplayName {
    DisplayName::parse(text).expect("a name")
}

pub fn key_name(text: &str) -> KeyName {
    KeyName::parse(text).expect("a name")
}
