//! What a demo says when it is up: where to look, who to be, and a line to paste for each endpoint.

use super::{
    Stage,
    endpoint::{self, MODELS},
};

/// The text, with every address and secret in it that a visitor needs.
pub fn welcome(public_url: &str, stage: &Stage) -> String {
    let Stage {
        operator,
        member,
        password,
        key,
        code,
        ..
    } = stage;
    let lines = curl_lines(public_url, key).join("\n\n");
    format!(
        "\n  Tollgate is up, with models of its own that answer without any provider.\n\n  \
           Open       {public_url}/console\n  \
           Sign in    {member}     {password}     a member with credits\n             \
                      {operator}   {password}     who runs the place\n  \
           API key    {key}\n  \
           Code       {code}     10 credits, at {public_url}/console/redeem\n  \
           Docs       {public_url}/docs\n\n  \
           Paste a line into another terminal, then watch the member's balance:\n\n\
         {lines}\n\n  \
           Ctrl-C ends it.\n\n"
    )
}

/// One line for each endpoint, streamed where it streams.
fn curl_lines(public_url: &str, key: &str) -> Vec<String> {
    let models = format!("curl -s {public_url}{MODELS} -H 'Authorization: Bearer {key}'");
    let calls = endpoint::all().into_iter().map(|endpoint| {
        format!(
            "curl -sN {public_url}{} -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' -d '{}'",
            endpoint.path,
            endpoint.asking(true)
        )
    });
    std::iter::once(models).chain(calls).collect()
}
