//! Promises of the documentation, read as its templates: every refusal is explained in both languages.

use gateway::Code;
use std::{fs, path::Path};

fn errors(language: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../templates/docs")
        .join(language)
        .join("errors.html");
    fs::read_to_string(file).expect("the page is in the repository")
}

#[test]
fn every_refusal_has_its_heading_status_and_mend_in_both_languages() {
    for language in ["en", "zh-CN"] {
        let page = errors(language);
        for code in Code::ALL {
            let word = code.as_str();
            let begin = format!("<section class=\"docs-error\" id=\"{word}\">");
            let (_, rest) = page
                .split_once(&begin)
                .unwrap_or_else(|| panic!("{word} is not explained in {language}"));
            let (section, _) = rest.split_once("</section>").expect("the section ends");

            assert!(
                section.contains(&format!("<h3><code>{word}</code>")),
                "{word} in {language}"
            );
            assert_eq!(section.matches("<dd>").count(), 3, "{word} in {language}");
            if code != Code::CreditExhausted {
                assert!(
                    section.contains(&code.status().to_string()),
                    "{word} in {language}"
                );
            }
        }
    }
}
