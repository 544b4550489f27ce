//! Rewrites inputs and outputs that name objects by paths in a former directory, so that they use native URLs.

use std::{
    io::{self, Read as _, Write as _},
    path::Path,
};

use buffa::Message;

use super::{MAX_MESSAGE, directory::Directory, key::ObjectKey, relocate::Relocation};
use crate::walk;
use flyte_secrets::UNFINISHED;

/// Rewrites all inputs and outputs that name one of the `former` directories; returns their number. Each file is
/// replaced in one step, so the work can be interrupted and repeated.
pub(super) fn rewrite(directory: &Directory, unfinished: &Path, former: &[String]) -> io::Result<usize> {
    let mut rewritten = 0;
    walk::files(directory.root(), &mut |found| {
        let name = found.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(key) = found.path.to_str().and_then(|path| ObjectKey::parse(path).ok()) else {
            return Ok(());
        };
        if !matches!(name, "inputs.pb" | "outputs.pb") || found.path.starts_with(".unfinished") {
            return Ok(());
        }
        let mut content = Vec::new();
        found.file?.take(MAX_MESSAGE + 1).read_to_end(&mut content)?;
        let named = |former: &String| content.windows(former.len()).any(|part| part == former.as_bytes());
        if content.len() as u64 > MAX_MESSAGE || !former.iter().any(named) {
            return Ok(());
        }
        let mut relocation = Relocation::new(former.to_vec());
        let changed = match name {
            "inputs.pb" => changed(&content, &mut relocation, Relocation::inputs),
            _ => changed(&content, &mut relocation, Relocation::outputs),
        };
        if let Some(content) = changed {
            let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(unfinished)?;
            file.write_all(&content)?;
            file.as_file().sync_all()?;
            directory.publish(&file, &key, true)?;
            rewritten += 1;
        }
        Ok(())
    })?;
    Ok(rewritten)
}

fn changed<M: Message + Default>(
    content: &[u8],
    relocation: &mut Relocation,
    change: impl FnOnce(&mut Relocation, &mut M),
) -> Option<Vec<u8>> {
    let mut message = M::decode_from_slice(content).ok()?;
    change(relocation, &mut message);
    (relocation.changes() > 0).then(|| message.encode_to_vec())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use buffa::MessageField;
    use flyte_idl::flyteidl2::{
        core::{Blob, Literal, LiteralCollection, Scalar},
        task::{NamedLiteral, Outputs},
    };

    use super::*;

    fn outputs(uri: &str) -> Vec<u8> {
        let blob = Blob { uri: uri.to_owned(), ..Blob::default() };
        let scalar = Scalar { value: Some(blob.into()), ..Scalar::default() };
        let literal = Literal { value: Some(scalar.into()), ..Literal::default() };
        let list = LiteralCollection { literals: vec![literal], ..LiteralCollection::default() };
        let value = Literal { value: Some(list.into()), ..Literal::default() };
        let named = NamedLiteral {
            name: "o0".to_owned(),
            value: MessageField::some(value),
            ..NamedLiteral::default()
        };
        Outputs { literals: vec![named], ..Outputs::default() }.encode_to_vec()
    }

    #[test]
    fn old_outputs_name_existing_objects_after_the_move() {
        let home = tempfile::tempdir().unwrap();
        let directory = Directory::new(home.path().to_owned());
        let unfinished = home.path().join(".unfinished");
        for path in ["p/d/runs/r1/a0/1", "p/d/runs/r2/a0/1", ".unfinished"] {
            fs::create_dir_all(home.path().join(path)).unwrap();
        }
        let (old, new) = (outputs("/former/objects/p/d/x"), outputs("objects://p/d/x"));
        let (first, second) = (
            home.path().join("p/d/runs/r1/a0/1/outputs.pb"),
            home.path().join("p/d/runs/r2/a0/1/outputs.pb"),
        );
        fs::write(&first, &old).unwrap();
        fs::write(&second, outputs("/other/p/d/x")).unwrap();
        fs::write(home.path().join("p/d/runs/r2/a0/1/inputs.pb"), "/former/objects/ no message").unwrap();
        let former = ["/former/objects".to_owned()];
        assert_eq!(rewrite(&directory, &unfinished, &former).unwrap(), 1);
        assert_eq!(fs::read(&first).unwrap(), new);
        assert_eq!(fs::read(&second).unwrap(), outputs("/other/p/d/x"));
        assert_eq!(rewrite(&directory, &unfinished, &former).unwrap(), 0);
        assert_eq!(fs::read_dir(&unfinished).unwrap().count(), 0);
    }
}
