//! The product as strangers meet it: the official SDKs and a real browser, driven from `tests/outside` against a
//! whole installation on a real port. Needs Python packages and Chromium, so `dev/test sdk browser` runs them.

use crate::support::{
    agents::Agents,
    stage::{Call, Stage},
};

mod sdk {
    use super::{Call, Stage};

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs the packages of tests/outside/requirements.txt: dev/test sdk"]
    async fn the_official_sdks_are_answered_refused_and_charged_exactly() {
        let stage = Stage::open().await;
        let before = stage.available().await;

        let calls = stage
            .run(&["test_openai.py", "test_anthropic.py", "test_refusals.py"])
            .await;

        let price: i64 = calls.iter().map(Call::price).sum();
        let left = stage.close().await;
        assert!(price > 0, "calls were charged");
        assert_eq!(before - left, price, "the wallet fell by the calls' price");
    }
}

mod clients {
    use super::{Agents, Stage};

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs the packages of tests/outside: dev/test clients"]
    async fn real_agents_do_a_task_through_every_upstream_and_pay_what_it_reports() {
        let stage = Stage::open().await;
        let agents = Agents::employ(&stage).await;
        let before = stage.available().await;

        stage.run(&["test_agents.py"]).await;

        let price = agents.prove(&stage).await;
        let left = stage.close().await;
        assert!(price > 0, "calls were charged");
        assert_eq!(
            before - left,
            price,
            "the wallet fell by the answers' price"
        );
    }
}

mod browser {
    use super::Stage;

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs Chromium and the packages of tests/outside/requirements.txt: dev/test browser"]
    async fn a_newcomer_redeems_makes_a_key_calls_and_sees_the_price() {
        let stage = Stage::open().await;

        stage.run(&["test_journey.py"]).await;

        stage.close().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs Chromium and the packages of tests/outside/requirements.txt: dev/test browser"]
    async fn every_page_is_sound_in_every_view() {
        let stage = Stage::open().await;

        stage.run(&["test_pages.py"]).await;

        stage.close().await;
    }
}
