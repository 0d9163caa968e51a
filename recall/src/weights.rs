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
    /// What a turn lends the next one on each side, and the one after that, of what text gives it.
    pub neighbours: [f32; 2],
    /// What it lends the two turns after it of what meaning gives it: what is said next is about the same. LoCoMo,
    /// hybrid: R@10 .789 with the weights of text for both, .796 with these, with little between half and twice of each.
    pub neighbours_after: [f32; 2],
    /// What it lends the two turns before it of that.
    pub neighbours_before: [f32; 2],
    /// What a turn has of the sum of its session's three best.
    pub session: f32,
    /// Where sessions are ranked and not their turns: what a session has, beside the score of its best hit, for the share
    /// of the question's words that its hits have together. LoCoMo, R@5 of sessions: .882 by the best hits alone, .885
    /// with `session_sharpness`, .902 with this and the next two; .900 to .902 for .6 to 1 of this and .6 to .8 of the next.
    pub session_words: f32,
    /// What it has for the hit of it that is most like the question together with its best answers: what answers in
    /// several sessions is told alike in them, in words that the question does not have.
    pub session_like: f32,
    /// How much the best answers count beside the question there, together. With .8 for both of the above: 1 .899, 1.5 and 2 .900.
    pub session_examples: f32,
    /// The power that nearness is raised to where sessions are ranked, in the place of `meaning_sharpness`: of few sessions
    /// more are right than of many turns, and one that is somewhat near counts. In the same measure: 2 .897, 1.5 .899, 1 .900.
    pub session_sharpness: f32,
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
    /// What a record of the days has more that the question names. Own and MemoryBank's questions with a day have the
    /// right session first from .7 on; LoCoMo, whose questions name days beside much else, loses .004 of R@10 at 1.
    pub date: f32,
    /// The share of a question that the days it names are, and how many matches of the rarest word a record of them is, where
    /// confidence is read off. LoCoMo, area under the curve of its own questions against foreign ones, text and hybrid: .909
    /// and .924 with [0, 0], .917 with [.3, 1], .919 and .932 with [.4, 1.5], .919 and .931 with [.5, 2].
    pub day_evidence: [f32; 2],
    /// What a record of this moment has more than an old one.
    pub recency: f32,
    /// After so many days half of that is left.
    pub half_life_days: HalfLife,
    /// A newer statement takes the place of an older one that shares at least this share of its words,
    pub newer_alike: f32,
    /// covers at least this share of what the older one covers of the question,
    pub newer_coverage: f32,
    /// and lacks of the question no more than this share that the older one has: with a word that tells the two apart it is
    /// about something else.
    pub newer_lacks: f32,
    /// Where the best of the text arm cover no more of a question than the first of these, text has the least weight;
    /// where they cover the second, its full weight, which is 1. The best cover .23 at most of 57 of 60 paraphrases
    /// without a common word, and .30 at least of 19 of 20 questions of LoCoMo and XQuAD.
    pub text_covered: [f32; 2],
    /// How much the best matches, in matches of the rarest word: up to the first of these what it covers says nothing, from
    /// the second on all; from there to the third the matches alone make the full weight. Of 60 paraphrases 57 are matched
    /// by 1.2 at most, of 20 questions of LoCoMo 19 by .9 at least, and half by 1.9.
    pub text_matched: [f32; 3],
    /// What the text arm weighs at least: a single word in common may be the one that counts.
    pub text_least: f32,
    /// What full evidence of meaning weighs. LoCoMo, XQuAD and paraphrases differ by less than a point from .3 to .7.
    pub meaning: f32,
    /// How much more meaning weighs for each standard deviation, up to two, that the nearest is beyond chance. XQuAD R@10
    /// .964 without, .969 with this; paraphrases .83 and .85.
    pub meaning_far: f32,
    /// The power that nearness is raised to, from what is near on average (0) to the nearest (1): a conversation is about
    /// something, and most of it is somewhat near. Paraphrases among 2,000 messages, MRR: .69 with 1, .73 with 2.
    pub meaning_sharpness: f32,
    /// For an embedder whose exam did not show that its space has a meaning: from how many standard deviations beyond
    /// chance the nearest says something, and from how many all.
    pub standing_out: [f32; 2],
    /// The same where both arms agree that the space has a meaning for this question.
    pub standing_out_agreed: [f32; 2],
    /// The arms agree from none at the first of these to all at the second: how many standard errors the candidates of
    /// text are nearer in meaning than anything is. In a space without meaning it is three once in a thousand times.
    pub agreement: [f32; 2],
    /// Of confidence from text alone: the constant, the weights of the share of the question that the first candidate
    /// covers, and of the scores of the first and of the fifth in matches of the rarest word.
    pub confidence: [f32; 4],
    /// The same where meaning takes part, and the weight of how near the nearest is.
    pub confidence_hybrid: [f32; 5],
    /// From meaning alone: the constant, and the weight of how near the nearest is.
    pub confidence_meaning: [f32; 2],
    /// Below this confidence a context says nothing.
    pub silence: f32,
    /// An item of a context is worth saying when it has at least this share of the best one's score.
    pub worth_saying: f32,
    /// The same for a turn of a conversation, of which there are many on every topic.
    pub message_worth_saying: f32,
    /// The most items of a context: a few good ones help, many distract.
    pub context_items: usize,
    /// The most turns of conversations among them. LoCoMo, 1,000 tokens, gold in a thousand tokens and share of all gold:
    /// the ten best as they come 1.07 and .75; eight that are worth .3 1.16 and .72, eight worth .5 1.30 and .70.
    pub context_messages: usize,
    /// What an item loses of its worth when another says all of it.
    pub redundancy: f32,
    /// Candidates asked of an arm that answers alone: each is read from the store, in 4 µs. Text, LoCoMo's R@10 .768 with
    /// 50, .770 with 80, .774 with 120; every other set is the same with 60 and 80.
    pub candidates: usize,
    /// Candidates asked of each of both arms. LoCoMo's R@10 .794 with 80, .795 with 120; retail tools' F1 .617 with 80, .631
    /// with 120, .629 with 150.
    pub candidates_hybrid: usize,
    /// How far an episode comes up to the closest one of its situation, 0 to 1,
    pub situation: f32,
    /// where the cosine of their words says so: from none at the first of these to all at the second.
    pub kin: [f32; 2],
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
            neighbours_after: [0.5, 0.3],
            neighbours_before: [0.15, 0.05],
            session: 0.1,
            session_words: 0.8,
            session_like: 0.6,
            session_examples: 1.5,
            session_sharpness: 1.0,
            tool_output: 0.8,
            assistant: 1.0,
            summary: 0.6,
            speaker: 0.4,
            tool: 0.2,
            project: 0.2,
            file: 0.2,
            date: 0.7,
            day_evidence: [0.45, 1.75],
            recency: 0.02,
            half_life_days: HalfLife { message: 30.0, episode: 90.0, note: 180.0, lesson: 365.0 },
            newer_alike: 0.25,
            newer_coverage: 0.5,
            newer_lacks: 0.1,
            text_covered: [0.2, 0.45],
            text_matched: [0.4, 1.2, 3.0],
            text_least: 0.05,
            meaning: 0.5,
            meaning_far: 0.5,
            meaning_sharpness: 2.0,
            standing_out: [0.3, 1.2],
            standing_out_agreed: [-1.5, 0.0],
            agreement: [3.0, 6.0],
            confidence: [-5.4, 6.05, 1.2, 1.5],
            confidence_hybrid: [-10.4, 5.5, 1.5, 1.5, 9.9],
            confidence_meaning: [-5.5, 12.0],
            silence: 0.3,
            worth_saying: 0.3,
            message_worth_saying: 0.5,
            context_items: 8,
            context_messages: 6,
            redundancy: 0.8,
            candidates: 50,
            candidates_hybrid: 120,
            situation: 1.0,
            kin: [0.2, 0.3],
            success: 0.2,
            replaced: 0.5,
            replaced_below: 0.95,
        }
    }
}
