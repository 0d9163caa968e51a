//! Every weight of ranking, in one place, each with its reason and the measurement that set it.
//!
//! `harness eval --weights` measures with others: that is how they were chosen.
//!
//! Scores are those of fusion, 0 to 1, the best candidate at 1; what is added here is in the same measure.

use serde::{Deserialize, Serialize};

/// How much each part of ranking counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Weights {
    /// What a turn lends the next one on each side, and the one after that, of its score.
    pub neighbours: [f32; 2],
    /// What a turn has of the sum of its session's three best.
    pub session: f32,
    /// What is left of the score of what a tool printed.
    pub tool_output: f32,
    /// What is left of the score of what the agent said.
    pub assistant: f32,
    /// What is left of the score of a summary, which is nobody's statement.
    pub summary: f32,
    /// What a turn of the one speaker has more that the question names.
    pub speaker: f32,
    /// What a record of the one tool has more that the question names.
    pub tool: f32,
    /// What a record of the one project has more that the question names.
    pub project: f32,
    /// What a record with a file has more that the question names.
    pub file: f32,
    /// What a record of the days has more that the question names.
    pub date: f32,
    /// What a record of this moment has more than an old one.
    pub recency: f32,
    /// After so many days half of that is left.
    pub half_life_days: HalfLife,
    /// A newer statement takes the place of an older one that shares at least this share of its words,
    pub newer_alike: f32,
    /// and covers at least this share of what the older one covers of the question.
    pub newer_coverage: f32,
    /// Of confidence: the share of the question that the first candidate covers, the most that one of the first five
    /// covers, and how far the first stands out.
    pub confidence: [f32; 3],
    /// Candidates asked of each arm.
    pub candidates: usize,
    /// What a success adds to an episode: at equal similarity success ranks before failure, and a failure that is
    /// clearly closer stays in front (EVIDENCE: 0.2 costs nothing at rank 1).
    pub success: f32,
    /// What is left of the score of a record that another replaces: it ranks below its successor, which says the
    /// same thing anew, and above what merely shares a word.
    pub replaced: f32,
    /// A replaced record's score is at most this share of its successor's, when both are in one answer.
    pub replaced_below: f32,
}

/// Half-lives of recency in days, for each kind of record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HalfLife {
    /// Of what was said.
    pub message: f32,
    /// Of what was done.
    pub episode: f32,
    /// Of what somebody asked to have remembered.
    pub note: f32,
    /// Of rules.
    pub lesson: f32,
}

impl Default for Weights {
    fn default() -> Weights {
        Weights {
            neighbours: [0.4, 0.2],
            session: 0.1,
            tool_output: 0.8,
            assistant: 1.0,
            summary: 0.6,
            speaker: 0.4,
            tool: 0.2,
            project: 0.2,
            file: 0.2,
            date: 1.0,
            recency: 0.02,
            half_life_days: HalfLife { message: 30.0, episode: 90.0, note: 180.0, lesson: 365.0 },
            newer_alike: 0.5,
            newer_coverage: 0.8,
            confidence: [0.8, 0.0, 0.2],
            candidates: 120,
            success: 0.2,
            replaced: 0.5,
            replaced_below: 0.95,
        }
    }
}
