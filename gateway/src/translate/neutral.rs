//! A request as no protocol writes it: what is asked, free of where each field stands on the wire.

use serde_json::{Number, Value};

use super::{compact::Compaction, mark::Lasting, reject::Reject};

/// What a caller asks of a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Request {
    /// Instructions before the first turn, in order.
    pub(crate) system: Vec<String>,
    /// How many of these stand before each mark of a prompt cache.
    pub(crate) system_marks: Vec<(usize, Lasting)>,
    pub(crate) turns: Vec<Turn>,
    pub(crate) tools: Vec<Tool>,
    /// The provider's own search, asked for as a tool.
    pub(crate) web_search: Option<WebSearch>,
    pub(crate) choice: Option<Choice>,
    /// Whether several tools may be called at once; none where the caller leaves it open.
    pub(crate) parallel: Option<bool>,
    /// Output tokens at most.
    pub(crate) max_output: Option<u64>,
    pub(crate) sampling: Sampling,
    /// Texts that end the answer.
    pub(crate) stop: Vec<String>,
    pub(crate) reasoning: Reasoning,
    pub(crate) format: Format,
    pub(crate) verbosity: Option<String>,
    /// Who asks, as the caller names its own user.
    pub(crate) user: Option<String>,
    pub(crate) metadata: Option<Value>,
    pub(crate) tier: Option<String>,
    pub(crate) cache_key: Option<String>,
    /// The session that the caller's headers name, for its prompt cache where the request gives it no name.
    pub(crate) session: Option<String>,
    pub(crate) streamed: bool,
    /// Whether not an answer is asked for but a summary of what was said.
    pub(crate) compaction: Option<Compaction>,
    /// Fields that chat and responses have in common and nobody else has.
    pub(crate) shared: serde_json::Map<String, Value>,
    /// Fields that a Responses answer repeats.
    pub(crate) echo: serde_json::Map<String, Value>,
    /// What this gateway cannot carry anywhere, by its name in the request.
    pub(crate) dropped: Vec<String>,
}

/// What one side says before the other speaks again.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Turn {
    pub(crate) role: Role,
    pub(crate) parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    User,
    Assistant,
    /// Instructions in the middle of the conversation.
    System,
}

/// A piece of a turn.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    Text(String),
    Image(Image),
    File(File),
    Audio(Audio),
    Refusal(String),
    Thought(Thought),
    Call(Call),
    Result(CallResult),
    /// All up to the part before it is worth keeping in the provider's prompt cache. It says nothing itself.
    CacheMark(Lasting),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) source: Source,
    pub(crate) detail: Option<String>,
    /// Where it stands in the request.
    pub(crate) at: String,
}

/// A document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) source: Source,
    pub(crate) name: Option<String>,
    pub(crate) at: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Base64 text of this media type.
    Data {
        media: String,
        data: String,
    },
    Url(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Audio {
    pub(crate) data: String,
    pub(crate) format: String,
    pub(crate) at: String,
}

/// What a model thought before it spoke, as its caller sends it back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Thought {
    pub(crate) text: String,
    /// The sealed carrier that this gateway gave out with it.
    pub(crate) carrier: Option<String>,
}

/// A tool called by the model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// JSON text, but for a custom tool, whose input is any text.
    pub(crate) args: String,
}

/// What a tool answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct CallResult {
    /// The id of its call.
    pub(crate) call: String,
    pub(crate) parts: Vec<Part>,
    pub(crate) failed: bool,
}

/// How a tool is declared and called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    #[default]
    Function,
    /// Takes any text.
    Custom,
    LocalShell,
    Shell,
    ApplyPatch,
    ToolSearch,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tool {
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) kind: Kind,
    /// JSON schema of the arguments; none for a custom tool.
    pub(crate) schema: Option<Value>,
    pub(crate) strict: Option<bool>,
    pub(crate) grammar: Option<Grammar>,
    /// All tools up to this one are worth keeping in the provider's prompt cache.
    pub(crate) cache_mark: Option<Lasting>,
}

/// What a custom tool's input must look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grammar {
    pub(crate) syntax: String,
    pub(crate) definition: String,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct WebSearch {
    pub(crate) allowed_domains: Option<Value>,
    pub(crate) user_location: Option<Value>,
    pub(crate) context_size: Option<String>,
    /// How often may be searched at most.
    pub(crate) most: Option<u64>,
}

/// Which tools the model may or must call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Never,
    Auto,
    Must,
    One {
        namespace: Option<String>,
        name: String,
    },
    /// Some of those declared.
    Among {
        must: bool,
        names: Vec<(Option<String>, String)>,
    },
    /// A tool that the provider runs, by its type.
    Hosted(String),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sampling {
    pub(crate) temperature: Option<Number>,
    pub(crate) top_p: Option<Number>,
    pub(crate) top_k: Option<Number>,
    pub(crate) frequency_penalty: Option<Number>,
    pub(crate) presence_penalty: Option<Number>,
    pub(crate) seed: Option<Number>,
    pub(crate) logit_bias: Option<Value>,
    /// Likely tokens to report beside each one.
    pub(crate) top_logprobs: Option<u64>,
}

/// How hard to think, and whether the caller wants to see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reasoning {
    pub(crate) effort: Option<Effort>,
    /// The caller asks for a summary of the thoughts, or shows them.
    pub(crate) summary: bool,
    /// The caller switched thinking off and must not be shown any.
    pub(crate) hidden: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Effort {
    Off,
    Minimal,
    Low,
    Medium,
    High,
    Xhigh,
    Max,
}

/// The form of the answer's text.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Format {
    #[default]
    Text,
    Json,
    Schema(SchemaFormat),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SchemaFormat {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) schema: Value,
    pub(crate) strict: Option<bool>,
}

impl Effort {
    /// The word of all three protocols.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Off => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Xhigh => "xhigh",
            Self::Max => "max",
        }
    }

    /// The effort of a word; none for one that nobody has written yet.
    pub(crate) fn read(word: &str) -> Option<Self> {
        Some(match word {
            "none" => Self::Off,
            "minimal" => Self::Minimal,
            "low" => Self::Low,
            "medium" => Self::Medium,
            "high" => Self::High,
            "xhigh" => Self::Xhigh,
            "max" | "ultra" => Self::Max,
            _ => return None,
        })
    }

    /// The effort that a budget of thinking tokens stands for.
    pub(crate) fn of_budget(tokens: u64) -> Self {
        match tokens {
            0..=2_048 => Self::Low,
            2_049..=10_000 => Self::Medium,
            10_001..=20_000 => Self::High,
            _ => Self::Xhigh,
        }
    }

    /// The budget of thinking tokens that stands for this effort.
    pub(crate) fn budget(self) -> u64 {
        match self {
            Self::Off => 0,
            Self::Minimal => 1_024,
            Self::Low => 2_048,
            Self::Medium => 8_192,
            Self::High => 16_384,
            Self::Xhigh => 24_576,
            Self::Max => 32_000,
        }
    }
}

impl Choice {
    /// The choice that both `OpenAI` protocols write as a word.
    pub(crate) fn of_word(word: &str, at: &str) -> Result<Self, Reject> {
        match word {
            "none" => Ok(Self::Never),
            "auto" => Ok(Self::Auto),
            "required" => Ok(Self::Must),
            _ => Err(Reject::new(
                at,
                format!("`{at}` must be none, auto, required or an object"),
            )),
        }
    }
}

impl Grammar {
    /// Reads `syntax` and `definition`.
    pub(crate) fn read(value: &Value) -> Option<Self> {
        let text = |name| value.get(name)?.as_str().map(str::to_owned);
        Some(Self {
            syntax: text("syntax")?,
            definition: text("definition")?,
        })
    }
}

impl Tool {
    /// The description, with the grammar of a custom tool in words where only a function can be declared.
    pub(crate) fn described(&self) -> Option<String> {
        let grammar = self.grammar.as_ref().map(|grammar| {
            let Grammar { syntax, definition } = grammar;
            format!("Input grammar ({syntax}):\n{definition}")
        });
        match (&self.description, grammar) {
            (Some(description), Some(grammar)) => Some(format!("{description}\n\n{grammar}")),
            (description, grammar) => description.clone().or(grammar),
        }
    }
}

impl Part {
    /// The text of instructions, whose parts can be nothing else.
    fn joined(parts: &[Self]) -> String {
        let texts = parts.iter().filter_map(|part| match part {
            Self::Text(text) => Some(text.as_str()),
            _ => None,
        });
        texts.collect::<Vec<_>>().join("\n\n")
    }

    /// With the mark that was given with it. An empty text will not be there to be marked.
    pub(crate) fn marked(self, given: &Value) -> Vec<Self> {
        let is_blank =
            matches!(&self, Self::Text(text) | Self::Refusal(text) if text.trim().is_empty());
        let mark = Lasting::read(given).filter(|_| !is_blank);
        let mut parts = vec![self];
        parts.extend(mark.map(Self::CacheMark));
        parts
    }
}

impl Turn {
    pub(crate) fn new(role: Role, parts: Vec<Part>) -> Self {
        Self { role, parts }
    }
}

impl Request {
    /// Reads instructions before the first turn. Texts of one message are told apart where a mark stands between them.
    pub(crate) fn add_system(&mut self, parts: &[Part]) {
        for said in parts.split_inclusive(|part| matches!(part, Part::CacheMark(_))) {
            self.system.push(Part::joined(said));
            if let Some(Part::CacheMark(lasting)) = said.last() {
                self.system_marks.push((self.system.len(), *lasting));
            }
        }
    }

    /// Adds instructions in the middle of the conversation, which are marked at their end.
    pub(crate) fn add_reminder(&mut self, parts: &[Part]) {
        let mut said = vec![Part::Text(Part::joined(parts))];
        let mut marks = parts
            .iter()
            .filter(|part| matches!(part, Part::CacheMark(_)));
        said.extend(marks.next_back().cloned());
        self.turns.push(Turn::new(Role::System, said));
    }

    /// Takes the marks out of a tool's result: results of one turn are put in order, and a mark would not move with its
    /// own.
    pub(crate) fn unmarked(&mut self, mut parts: Vec<Part>, field: String) -> Vec<Part> {
        let all = parts.len();
        parts.retain(|part| !matches!(part, Part::CacheMark(_)));
        if parts.len() < all {
            self.dropped.push(field);
        }
        parts
    }

    /// Whether anything is marked for a prompt cache.
    pub(crate) fn has_marks(&self) -> bool {
        let mut parts = self.turns.iter().flat_map(|turn| &turn.parts);
        !self.system_marks.is_empty()
            || self.tools.iter().any(|tool| tool.cache_mark.is_some())
            || parts.any(|part| matches!(part, Part::CacheMark(_)))
    }

    /// Whether the choice of tools leaves this one to be called.
    pub(crate) fn allows(&self, tool: &Tool) -> bool {
        match &self.choice {
            Some(Choice::Among { names, .. }) => names
                .iter()
                .any(|(namespace, name)| *namespace == tool.namespace && *name == tool.name),
            _ => true,
        }
    }

    /// All calls of the conversation.
    pub(crate) fn calls(&self) -> impl Iterator<Item = &Call> {
        let parts = self.turns.iter().flat_map(|turn| &turn.parts);
        parts.filter_map(|part| match part {
            Part::Call(call) => Some(call),
            _ => None,
        })
    }
}
