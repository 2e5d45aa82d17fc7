//! The values that are got and returned: the article's small struct, and buffers.

use std::ops::{Deref, DerefMut};

/// What is got and returned.
pub(crate) trait Value: Send + 'static {
    fn new() -> Self;
    /// Does what a user does with a value that may have been used before, and leaves a mark in it.
    fn fill(&mut self, mark: u64);
    fn mark(&self) -> u64;
    /// What it takes of the heap, once filled.
    fn bytes(&self) -> usize;
}

/// The article's struct, boxed as Go's `&User{}` is.
pub(crate) struct User {
    name: String,
    id: u64,
}

impl Value for Box<User> {
    fn new() -> Self {
        Box::new(User { name: String::new(), id: 0 })
    }

    fn fill(&mut self, mark: u64) {
        self.name.clear();
        self.name.push_str("gopher");
        self.id = mark;
    }

    fn mark(&self) -> u64 {
        self.id
    }

    fn bytes(&self) -> usize {
        size_of::<User>() + self.name.capacity()
    }
}

/// A buffer to which a message of 64 bytes is written.
pub(crate) struct Buffer<const LEN: usize, const ZEROED: bool>(Vec<u8>);

impl<const LEN: usize, const ZEROED: bool> Value for Buffer<LEN, ZEROED> {
    fn new() -> Self {
        Buffer(if ZEROED { vec![0; LEN] } else { Vec::with_capacity(LEN) })
    }

    fn fill(&mut self, mark: u64) {
        let message = [mark.to_le_bytes(); 8];
        if ZEROED {
            self.0[..64].copy_from_slice(message.as_flattened());
        } else {
            self.0.clear();
            self.0.extend_from_slice(message.as_flattened());
        }
    }

    fn mark(&self) -> u64 {
        u64::from_le_bytes(self.0[56..64].try_into().expect("it is eight bytes long"))
    }

    fn bytes(&self) -> usize {
        self.0.capacity()
    }
}

/// A value in the hand, to stand where a pool's guard stands: dropping it frees the value.
pub(crate) struct Fresh<V>(pub(crate) V);

impl<V> Deref for Fresh<V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.0
    }
}

impl<V> DerefMut for Fresh<V> {
    fn deref_mut(&mut self) -> &mut V {
        &mut self.0
    }
}
