//! Signed-in browsers: kept in the database, known by the digest of their cookie, ended from either side.

mod end;
mod list;
mod password_check;
mod resume;
mod sign_in;

pub use end::{RevokeError, end_others, revoke, sign_out, sign_out_everywhere};
pub(crate) use end::{end_all_in, end_of_member_in, end_others_in};
pub use list::{Listed, Membership, SwitchError, list, memberships, switch};
pub(crate) use password_check::{Attempted, check_password};
pub use resume::resume;
pub use sign_in::{SignIn, SignInError, sign_in};

use entity::person::PlatformRole;
use std::time::Duration;

/// How long a session lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lifetime {
    /// Without a page shown.
    idle: Duration,
    /// In all.
    absolute: Duration,
}

impl Lifetime {
    /// A day idle and 30 days in all; an hour and a day for those who can see other people's data
    /// (NIST SP 800-63B-4, AAL2).
    const fn of(role: PlatformRole) -> Self {
        match role {
            PlatformRole::None => Self {
                idle: Duration::from_hours(24),
                absolute: Duration::from_hours(30 * 24),
            },
            PlatformRole::Support | PlatformRole::Operator => Self {
                idle: Duration::from_hours(1),
                absolute: Duration::from_hours(24),
            },
        }
    }
}
