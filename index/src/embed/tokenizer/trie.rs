//! A set of byte strings that answers which of them a text starts with.
//!
//! Nodes lie breadth first, so that a node's children are neighbours and their end is the start of
//! the next node's children: nine bytes a node, about 10 MB for a vocabulary of 250,000 pieces.

/// Stands for "no piece ends here".
const NONE: u32 = u32::MAX;

/// The pieces of a vocabulary, by prefix.
pub(crate) struct Trie {
    /// Byte on the edge into each node; the root's is unused.
    labels: Vec<u8>,
    /// First child of each node, and one more entry that closes the last node's children.
    children: Vec<u32>,
    /// Identifier of the piece that ends at each node, or [`NONE`].
    pieces: Vec<u32>,
}

impl Trie {
    /// A trie of `pieces` with their identifiers. Of equal pieces the last one counts. Identifiers
    /// must be below `u32::MAX`.
    pub(crate) fn new<'a>(pieces: impl IntoIterator<Item = (&'a [u8], u32)>) -> Self {
        let mut sorted: Vec<(&[u8], u32)> = pieces.into_iter().collect();
        // Stable, so that the last of equal pieces stays last and overwrites the others.
        sorted.sort_by_key(|(piece, _)| *piece);
        let mut labels = vec![0];
        let mut children = Vec::new();
        let mut ends = Vec::new();
        // The pieces below each node of the current and the next level, as ranges of `sorted`.
        let mut level = vec![(0, sorted.len())];
        let mut depth = 0;
        while !level.is_empty() {
            let mut next = Vec::new();
            for (mut from, to) in level {
                let mut end = NONE;
                while from < to && sorted[from].0.len() == depth {
                    end = sorted[from].1;
                    from += 1;
                }
                ends.push(end);
                children.push(labels.len() as u32);
                while from < to {
                    let label = sorted[from].0[depth];
                    let count = sorted[from..to].partition_point(|(piece, _)| piece[depth] == label);
                    labels.push(label);
                    next.push((from, from + count));
                    from += count;
                }
            }
            level = next;
            depth += 1;
        }
        children.push(labels.len() as u32);
        Self { labels, children, pieces: ends }
    }

    /// The pieces that `text` starts with, shortest first: length in bytes and identifier.
    pub(crate) fn prefixes<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = (usize, u32)> + 'a {
        let mut node = Some(0);
        let mut at = 0;
        std::iter::from_fn(move || {
            while let Some(here) = node {
                let depth = at;
                node = text.get(at).and_then(|&byte| self.child(here, byte));
                at += 1;
                let piece = self.pieces[here];
                if piece != NONE && depth > 0 {
                    return Some((depth, piece));
                }
            }
            None
        })
    }

    fn child(&self, node: usize, byte: u8) -> Option<usize> {
        let first = self.children[node] as usize;
        let labels = &self.labels[first..self.children[node + 1] as usize];
        labels.binary_search(&byte).ok().map(|at| first + at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_is_found_in_an_empty_trie() {
        let trie = Trie::new([]);
        assert_eq!(trie.prefixes(b"abc").count(), 0);
    }

    #[test]
    fn the_last_of_equal_pieces_counts_and_the_empty_one_does_not() {
        let trie = Trie::new([(&b"a"[..], 1), (b"", 5), (b"a", 2)]);
        assert_eq!(trie.prefixes(b"ab").collect::<Vec<_>>(), [(1, 2)]);
    }

    proptest! {
        #[test]
        fn prefixes_are_those_that_a_comparison_finds(
            pieces in prop::collection::btree_set("[abc]{1,5}", 0..30),
            text in "[abcd]{0,8}",
        ) {
            let pieces: Vec<String> = pieces.into_iter().collect();
            let trie = Trie::new(pieces.iter().enumerate().map(|(id, piece)| (piece.as_bytes(), id as u32)));
            let mut naive: Vec<(usize, u32)> = pieces
                .iter()
                .enumerate()
                .filter(|(_, piece)| text.starts_with(piece.as_str()))
                .map(|(id, piece)| (piece.len(), id as u32))
                .collect();
            naive.sort_unstable();
            prop_assert_eq!(trie.prefixes(text.as_bytes()).collect::<Vec<_>>(), naive);
        }
    }
}
