//! The memory for Argon2: it is cleared and reused for the next hash.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use argon2::Block;
use zeroize::Zeroize as _;

/// Memory for the hashes that are computed at the same time.
#[derive(Clone, Debug, Default)]
pub(super) struct HashingMemory {
    idle: Arc<Mutex<Vec<Vec<Block>>>>,
}

/// The memory of one hash. When dropped, it is cleared and returned.
#[derive(Debug)]
pub(super) struct Lease {
    blocks: Vec<Block>,
    owner: HashingMemory,
    most: usize,
}

impl HashingMemory {
    /// Returns memory for one hash. At most `most` blocks of 1 KiB are kept for the next hash.
    pub(super) fn take(&self, most: usize) -> Lease {
        let blocks = self.idle().pop().unwrap_or_default();
        Lease { blocks, owner: self.clone(), most }
    }

    /// Returns idle memory to the system.
    pub(super) fn release(&self) {
        drop(mem::take(&mut *self.idle()));
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Vec<Block>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn idle_blocks(&self) -> Vec<usize> {
        self.idle().iter().map(Vec::len).collect()
    }
}

impl Lease {
    /// Returns `count` blocks of 1 KiB.
    pub(super) fn blocks(&mut self, count: usize) -> &mut [Block] {
        if self.blocks.len() < count {
            // Growing would hold the old and the new blocks at the same time.
            self.blocks = Vec::new();
            self.blocks = vec![Block::new(); count];
        }
        &mut self.blocks[..count]
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut blocks = mem::take(&mut self.blocks);
        // The blocks contain data that depends on the password.
        blocks.iter_mut().for_each(Block::zeroize);
        // A hash with older parameters may have needed more memory.
        if blocks.len() <= self.most {
            self.owner.idle().push(blocks);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_reused_and_cleared() {
        let memory = HashingMemory::default();
        let mut first = memory.take(8);
        for block in first.blocks(8) {
            block.as_mut().fill(7);
        }
        let place = first.blocks(8).as_ptr();
        drop(first);
        let mut second = memory.take(8);
        assert_eq!(second.blocks(8).as_ptr(), place);
        assert!(second.blocks(8).iter().all(|block| block.as_ref().iter().all(|word| *word == 0)));
        let other = memory.take(8);
        drop((second, other));
        let mut larger = memory.take(8);
        larger.blocks(9);
        drop(larger);
        assert!(memory.idle_blocks().iter().all(|blocks| *blocks <= 8));
        memory.release();
        assert!(memory.idle_blocks().is_empty());
    }
}
