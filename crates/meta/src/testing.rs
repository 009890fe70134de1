//! The suite that every backend runs: what each command promises, seen through
//! [`Meta`] alone, and the invariants of the whole store after each scenario.
//! Panics on a deviation. Also the clock and the randomness that tests set.

mod accounts;
mod bodies;
mod cluster;
mod domains;
mod fixture;
mod lists;
mod mailboxes;
mod messages;
mod outside;
mod queue;
mod random;
mod relays;
mod repeats;
mod resolve;
mod tls;
mod versions;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use postrider_types::{Clock, Millis, Random};

use crate::Meta;
use crate::memory::Memory;
use fixture::{
    Fixture, add_account, add_domain, address, all, flags_of, numbers, set_alias, set_group, some,
};

/// A backend under test.
#[async_trait]
pub trait Backend: Meta {
    /// What is wrong with its store: [`crate::check_consistency`].
    async fn check(&self) -> Vec<String>;
}

#[async_trait]
impl Backend for Memory {
    async fn check(&self) -> Vec<String> {
        self.check_consistency()
            .await
            .expect("memory does not fail")
    }
}

/// A clock that stands until it is set.
#[derive(Debug)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that shows some moment of 2026.
    pub fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(1_780_000_000_000)))
    }

    /// Moves it forward.
    pub fn advance(&self, span: Duration) {
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        self.0.fetch_add(millis, Ordering::SeqCst);
    }

    /// Moves it back.
    pub fn turn_back(&self, span: Duration) {
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        self.0.fetch_sub(millis, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Millis {
        Millis(self.0.load(Ordering::SeqCst))
    }
}

/// Bytes that never repeat and are the same in each run.
#[derive(Debug, Default)]
pub struct CountingRandom(AtomicU64);

impl Random for CountingRandom {
    fn fill(&self, bytes: &mut [u8]) {
        let next = self.0.fetch_add(1, Ordering::SeqCst);
        bytes.fill(0);
        for (byte, from) in bytes.iter_mut().rev().zip(next.to_le_bytes()) {
            *byte = from;
        }
    }
}

/// Runs everything, each scenario over a fresh backend out of `start`, which
/// must take the time from the clock it is given.
pub async fn suite<B: Backend>(start: impl AsyncFn(Arc<dyn Clock>) -> Arc<B>) {
    macro_rules! run {
        ($($scenario:path),* $(,)?) => { $({
            let clock = ManualClock::new();
            let fixture = Fixture::new(start(clock.clone()).await, clock).await;
            $scenario(&fixture).await;
            fixture.check(stringify!($scenario)).await;
        })* };
    }
    run!(
        domains::domains_come_change_and_go,
        domains::a_catch_all_is_local,
        domains::a_domain_in_use_stays,
        accounts::accounts_need_a_free_local_address,
        accounts::an_account_changes_as_asked,
        accounts::a_removed_account_is_gone_at_once,
        accounts::new_accounts_get_the_default_mailboxes,
        accounts::an_account_sends_as_what_leads_to_it,
        accounts::only_accounts_log_in,
        accounts::a_suspended_account_goes_on_with_nothing,
        lists::aliases_come_change_and_go,
        lists::bad_aliases_are_refused,
        lists::groups_come_change_and_go,
        lists::a_group_has_a_limit,
        lists::a_group_becomes_a_list_and_back,
        lists::bad_lists_are_refused,
        lists::a_member_leaves_a_list_that_lets_it_go,
        lists::pages_of_the_directory_hold_everything_once,
        resolve::an_account_receives_its_mail,
        resolve::aliases_and_groups_lead_on,
        resolve::a_catch_all_takes_the_rest,
        resolve::circles_are_told,
        resolve::lists_lead_outside,
        resolve::the_innermost_list_names_its_member,
        resolve::a_catch_all_never_leads_outside,
        resolve::an_owner_inside_gets_the_bounces_and_no_word_of_strangers,
        resolve::the_way_has_a_limit,
        resolve::closed_and_full_accounts_receive_nothing_by_themselves,
        resolve::internal_lists_need_a_local_sender,
        relays::a_relay_comes_changes_and_goes,
        relays::what_is_unknown_here_goes_on,
        relays::a_relay_stays_while_mail_waits_for_it,
        repeats::a_command_sent_again_is_applied_once,
        repeats::a_watcher_is_told,
        mailboxes::mailboxes_are_created_with_superiors,
        mailboxes::bad_names_are_refused,
        mailboxes::a_rename_takes_inferiors_along,
        mailboxes::a_rename_of_inbox_moves_its_messages,
        mailboxes::a_mailbox_is_found_in_any_case,
        mailboxes::a_deleted_mailbox_frees_quota_at_once_and_is_purged,
        mailboxes::subscriptions_outlive_mailboxes,
        mailboxes::a_removed_account_is_purged,
        messages::a_message_is_accepted_by_several,
        messages::deliveries_fail_one_by_one,
        messages::an_overdraft_is_always_taken,
        messages::an_append_is_all_or_none,
        messages::flags_change_as_asked,
        messages::copies_and_moves_keep_what_they_should,
        messages::expunge_removes_the_deleted,
        messages::the_change_log_tells_everything,
        messages::pages_hold_every_message_once,
        messages::recent_is_claimed_once,
        bodies::bodies_move_into_packs_and_packs_die,
        bodies::bodies_move_into_young_objects_only,
        bodies::doubtful_bodies_are_refused,
        bodies::inline_bytes_have_a_budget,
        bodies::all_bodies_and_objects_are_told,
        queue::a_message_goes_here_and_outside_at_once,
        queue::the_rest_of_a_message_is_kept_as_it_came,
        queue::what_is_forwarded_is_sealed_and_not_signed,
        queue::copies::each_copy_of_a_list_has_what_is_its_own,
        queue::copies::what_is_forwarded_has_fields_of_its_own,
        queue::copies::who_may_leave_gets_a_copy_alone,
        queue::copies::an_alarm_takes_copies_together,
        queue::what_cannot_be_queued_is_refused,
        queue::leases::an_entry_is_leased_once,
        queue::leases::a_lease_of_a_clock_that_was_ahead_ends,
        queue::leases::what_a_clock_that_was_ahead_put_off_is_due,
        queue::leases::a_destination_rests_alone,
        queue::leases::an_alarm_rings_while_the_destination_rests,
        queue::leases::no_destination_keeps_others_waiting,
        queue::leases::a_removed_node_takes_nothing,
        queue::leases::who_writes_to_many_keeps_nobody_waiting,
        queue::leases::a_node_that_is_back_frees_what_it_had,
        queue::settlements::a_late_settlement_leaves_nothing,
        queue::settlements::a_message_is_settled_in_parts,
        queue::settlements::a_notice_is_there_exactly_once,
        queue::settlements::an_accepted_message_tells_of_its_success,
        queue::settlements::the_history_of_a_message_is_told_and_trimmed,
        queue::administration::administrators_hold_release_and_remove,
        queue::administration::a_retry_ends_the_rest,
        queue::administration::the_queue_is_looked_through,
        outside::a_policy_is_kept_until_it_ends,
        outside::a_domain_has_keys_until_it_goes,
        tls::results_are_added_up_by_day_and_policy,
        tls::details_have_a_limit_and_counts_have_none,
        tls::a_report_and_its_results_change_places,
        tls::results_that_nobody_reports_are_trimmed,
        repeats::old_verdicts_are_trimmed,
        cluster::a_cluster_is_founded_once,
        cluster::a_node_joins_with_a_token,
        cluster::a_join_that_is_sent_again_is_one_join,
        cluster::tokens_end_and_are_bounded,
        cluster::a_node_that_comes_back_replaces_itself,
        cluster::whose_replacement_goes_stays,
        cluster::a_removed_node_stays_refused,
        cluster::restored_metadata_are_another_clusters,
        cluster::a_lease_has_one_holder,
        cluster::a_lease_of_a_clock_that_was_ahead_ends,
        cluster::leases_are_bounded,
        cluster::what_has_ended_is_trimmed,
        versions::a_node_alone_raises_its_version,
        versions::a_version_is_raised_when_every_node_knows_it,
        versions::a_program_of_another_version_is_refused,
    );
    random::any_sequence_of_commands_keeps_the_store_whole(&start).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_memory_backend_keeps_all_promises() {
        suite(async |clock| Memory::new(clock)).await;
    }
}
