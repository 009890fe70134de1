//! The way from a name over its aliases to the records.

use hickory_resolver::proto::dnssec::Proof;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

use super::{Answer, Failure};

/// The most aliases on the way. Nobody needs more; a circle ends here.
const MAX_ALIASES: usize = 8;

/// The aliases followed so far.
pub(super) struct Trail {
    end: Name,
    steps: usize,
    secure: bool,
    alias_secure: bool,
    validate: bool,
}

impl Trail {
    /// Begins at `name`; `validate` says whether answers carry proofs.
    pub(super) fn new(name: Name, validate: bool) -> Self {
        Self {
            end: name,
            steps: 0,
            secure: validate,
            alias_secure: false,
            validate,
        }
    }

    /// The name whose records are looked for now.
    pub(super) fn end(&self) -> &Name {
        &self.end
    }

    /// Follows the aliases among `answers`. None where the records of `kind` at
    /// their end are not among them.
    pub(super) fn walk(
        &mut self,
        answers: Vec<Record>,
        kind: RecordType,
    ) -> Result<Option<Answer>, Failure> {
        while kind != RecordType::CNAME && self.take_alias(&answers)? {}
        let records: Vec<Record> = answers
            .into_iter()
            .filter(|r| r.record_type() == kind && r.name == self.end)
            .collect();
        for record in &records {
            self.secure &= self.vouched(record)?;
        }
        if records.is_empty() {
            return Ok(None);
        }
        Ok(Some(Answer {
            records,
            owner: self.end.clone(),
            secure: self.secure,
            alias_secure: self.alias_secure,
        }))
    }

    /// Takes the one alias that `answers` must hold.
    pub(super) fn step(&mut self, answers: Vec<Record>) -> Result<(), Failure> {
        match self.take_alias(&answers)? {
            true => Ok(()),
            false => Err(Failure("the answer does not fit the question".into())),
        }
    }

    /// Goes over the alias of the present end; false if it has none in `answers`.
    fn take_alias(&mut self, answers: &[Record]) -> Result<bool, Failure> {
        let alias = answers.iter().find_map(|r| match &r.data {
            RData::CNAME(target) if r.name == self.end => Some((r, &target.0)),
            _ => None,
        });
        let Some((record, target)) = alias else {
            return Ok(false);
        };
        self.steps += 1;
        if self.steps > MAX_ALIASES {
            let reason = "its aliases (CNAME) run in a circle or are too many";
            return Err(Failure(reason.into()));
        }
        let secure = self.vouched(record)?;
        self.secure &= secure;
        if self.steps == 1 {
            self.alias_secure = secure;
        }
        self.end = target.clone();
        self.end.set_fqdn(true);
        Ok(true)
    }

    /// Whether DNSSEC vouches for `record`. Fails where it ought to and does not:
    /// a record whose zone was not shown to be unsigned is never taken for
    /// unsigned (RFC 7672 §2.1.1: "bogus" and "indeterminate").
    fn vouched(&self, record: &Record) -> Result<bool, Failure> {
        match record.proof {
            _ if !self.validate => Ok(false),
            Proof::Secure => Ok(true),
            Proof::Insecure => Ok(false),
            Proof::Bogus | Proof::Indeterminate => {
                Err(Failure("the answer fails validation by DNSSEC".into()))
            }
        }
    }
}
