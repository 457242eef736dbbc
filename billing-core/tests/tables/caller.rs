//! Who may call at all.

use crate::scene::{NOW, Scene};
use billing_core::admission::{Caller, HoldRefusal};
use entity::{MemberId, TenantId, key, member, person, tenant};
use std::time::Duration;

fn refused(change: impl Fn(&mut Caller)) -> Option<HoldRefusal> {
    let mut scene = Scene::empty().with_lot(100, None);
    let order = scene.order(10, 10);
    change(&mut scene.caller);
    scene
        .wallet()
        .hold(&order, &scene.caller, &scene.offer)
        .err()
}

#[test]
fn each_of_key_member_person_and_tenant_has_to_be_in_good_standing() {
    assert!(refused(|_| ()).is_none());
    let banned: [fn(&mut Caller); 3] = [
        |caller| caller.member_status = member::Status::Banned,
        |caller| caller.member_status = member::Status::Left,
        |caller| caller.person_status = person::Status::Banned,
    ];
    for change in banned {
        assert!(matches!(refused(change), Some(HoldRefusal::MemberBanned)));
    }
    for status in [tenant::Status::Suspended, tenant::Status::Closed] {
        let no = refused(|caller| caller.tenant_status = status);
        assert!(matches!(no, Some(HoldRefusal::TenantSuspended)));
    }
    let disabled = refused(|caller| caller.key_status = key::Status::Disabled);
    assert!(matches!(disabled, Some(HoldRefusal::KeyDisabled)));
    let revoked = refused(|caller| caller.key_status = key::Status::Revoked);
    assert!(matches!(revoked, Some(HoldRefusal::KeyRevoked)));
}

#[test]
fn a_key_works_for_its_own_member_of_its_own_tenant_only() {
    let other = refused(|caller| caller.member = MemberId::fresh());
    let stranger = refused(|caller| caller.tenant = TenantId::fresh());

    assert!(matches!(other, Some(HoldRefusal::KeyRevoked)), "{other:?}");
    assert!(
        matches!(stranger, Some(HoldRefusal::KeyRevoked)),
        "{stranger:?}"
    );
}

#[test]
fn a_key_ends_at_its_moment_and_not_before() {
    let instant = Duration::from_micros(1);

    assert!(refused(|caller| caller.key_expires_at = Some(NOW.plus(instant))).is_none());
    let over = refused(|caller| caller.key_expires_at = Some(NOW));
    assert!(matches!(over, Some(HoldRefusal::KeyExpired)), "{over:?}");
}
