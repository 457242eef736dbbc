//! What somebody may do, as values. They come out of a session and nowhere else, so an operation that takes one
//! cannot be called without it.

use entity::{
    Actor, MemberId, PersonId, SessionId, TenantId,
    member::{self, Role},
    person::{self, PlatformRole},
    tenant,
};

/// A person with a live session, in the tenant their pages show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    pub(crate) session: SessionId,
    pub(crate) person: PersonId,
    pub(crate) member: MemberId,
    pub(crate) tenant: TenantId,
    pub(crate) tenant_name: String,
    pub(crate) role: Role,
    pub(crate) platform_role: PlatformRole,
    pub(crate) display_name: String,
    pub(crate) locale: String,
}

/// Whose keys somebody may see and change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyReach {
    /// Everybody's in the tenant.
    Tenant,
    /// Their own.
    Own,
}

impl SignedIn {
    /// The right of a session whose person, member and tenant were found to be in good standing.
    pub(crate) fn new(
        session: SessionId,
        person: person::Model,
        member: &member::Model,
        tenant: tenant::Model,
    ) -> Self {
        Self {
            session,
            person: person.id,
            member: member.id,
            tenant: tenant.id,
            tenant_name: tenant.name,
            role: member.role,
            platform_role: person.platform_role,
            display_name: person.display_name,
            locale: person.locale,
        }
    }

    /// The session this comes from.
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// Who.
    pub const fn person(&self) -> PersonId {
        self.person
    }

    /// As which member.
    pub const fn member(&self) -> MemberId {
        self.member
    }

    /// In which tenant.
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// What that tenant is called.
    pub fn tenant_name(&self) -> &str {
        &self.tenant_name
    }

    /// What they are in the tenant.
    pub const fn role(&self) -> Role {
        self.role
    }

    /// What they are to the installation.
    pub const fn platform_role(&self) -> PlatformRole {
        self.platform_role
    }

    /// What pages call them.
    pub fn display_name(&self) -> &str {
        &self.display_name
    }

    /// Their language: `en` or `zh-CN`.
    pub fn locale(&self) -> &str {
        &self.locale
    }

    /// As whom what they do is recorded.
    pub const fn actor(&self) -> Actor {
        Actor::Member(self.member)
    }

    /// The right of those who run the installation.
    pub fn operator(&self) -> Option<Operator> {
        (self.platform_role == PlatformRole::Operator).then_some(Operator {
            person: self.person,
        })
    }

    /// The right to look at everything and change nothing.
    pub fn support(&self) -> Option<Support> {
        match self.platform_role {
            PlatformRole::Operator | PlatformRole::Support => Some(Support {
                person: self.person,
            }),
            PlatformRole::None => None,
        }
    }

    /// Whether they may make keys.
    pub const fn may_hold_keys(&self) -> bool {
        match self.role {
            Role::Owner | Role::Admin | Role::Developer => true,
            Role::Billing => false,
        }
    }

    /// Whether they may buy credits and see orders and the statement.
    pub const fn may_pay(&self) -> bool {
        may_pay(self.role)
    }

    /// Whether they may see other members' keys and usage.
    pub const fn may_see_members(&self) -> bool {
        matches!(self.key_reach(), KeyReach::Tenant)
    }

    pub(crate) const fn key_reach(&self) -> KeyReach {
        match self.role {
            Role::Owner | Role::Admin => KeyReach::Tenant,
            Role::Billing | Role::Developer => KeyReach::Own,
        }
    }
}

/// Whether this role has to do with what the tenant pays.
pub(crate) const fn may_pay(role: Role) -> bool {
    match role {
        Role::Owner | Role::Admin | Role::Billing => true,
        Role::Developer => false,
    }
}

/// The right of a person who runs the installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operator {
    pub(crate) person: PersonId,
}

impl Operator {
    /// Who.
    pub const fn person(&self) -> PersonId {
        self.person
    }

    /// As whom what they do is recorded.
    pub const fn actor(&self) -> Actor {
        Actor::Operator(self.person)
    }
}

/// The right to see every tenant, without the right to change anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Support {
    person: PersonId,
}

impl Support {
    /// Who.
    pub const fn person(&self) -> PersonId {
        self.person
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed_in(role: Role, platform_role: PlatformRole) -> SignedIn {
        SignedIn {
            session: SessionId::fresh(),
            person: PersonId::fresh(),
            member: MemberId::fresh(),
            tenant: TenantId::fresh(),
            tenant_name: "Ada".to_owned(),
            role,
            platform_role,
            display_name: "Ada".to_owned(),
            locale: "en".to_owned(),
        }
    }

    #[test]
    fn roles_allow_what_they_are_for() {
        for (role, keys, pay, members) in [
            (Role::Owner, true, true, true),
            (Role::Admin, true, true, true),
            (Role::Billing, false, true, false),
            (Role::Developer, true, false, false),
        ] {
            let right = signed_in(role, PlatformRole::None);
            let allowed = (
                right.may_hold_keys(),
                right.may_pay(),
                right.may_see_members(),
            );
            assert_eq!(allowed, (keys, pay, members), "{role:?}");
        }
    }

    #[test]
    fn only_operators_may_change_the_installation() {
        for (platform_role, operator, support) in [
            (PlatformRole::None, false, false),
            (PlatformRole::Support, false, true),
            (PlatformRole::Operator, true, true),
        ] {
            let right = signed_in(Role::Owner, platform_role);
            assert_eq!(right.operator().is_some(), operator, "{platform_role:?}");
            assert_eq!(right.support().is_some(), support, "{platform_role:?}");
        }
    }
}
