//! What Smile's widget asks of Smile, for the page that plays the widget (`crate::site`): whose token it
//! has, and an account that is linked in two steps, since a person sits between them.

use shared::smile_api::SecretText;

use super::deliver::Delivery;
use super::story::{Link, Linked};
use super::{Simulator, optional};

impl Simulator {
    /// A new link token for a user; none when there is no such user.
    pub fn token(&self, user: &str) -> Option<SecretText> {
        let now = self.stage.now();
        let world = &mut self.stage.play().world;
        world.user(user)?;
        Some(world.new_token(user, now).access_token.clone())
    }

    /// Whose link token this is, as long as it is valid.
    pub fn user_of(&self, token: &SecretText) -> Option<String> {
        let now = self.stage.now();
        let world = &self.stage.play().world;
        let found = world.tokens.iter().find(|known| known.access_token.is(token))?;
        (now < found.expires_at).then(|| found.user.clone())
    }

    /// Ends every link token of a user before its time.
    pub fn expire_tokens(&self, user: &str) {
        let now = self.stage.now();
        let world = &mut self.stage.play().world;
        world.tokens.iter_mut().filter(|token| token.user == user).for_each(|token| token.expires_at = now);
    }

    /// A user begins to link an account. What comes of it is told by [`Simulator::end_link`].
    pub fn begin_link(&self, link: &Link) -> Linked {
        self.stage.act(|world, now| world.link_begins(link, now))
    }

    /// The account is linked, or there is an error. Whether there is such an account.
    pub fn end_link(&self, account: &str, error: Option<&str>) -> bool {
        self.stage.act(|world, now| optional(world.link_ends(account, error, now)))
    }

    /// The last tries to deliver what is about a user, the oldest first.
    pub fn deliveries_about(&self, user: &str, at_most: usize) -> Vec<Delivery> {
        let play = self.stage.play();
        let about = play.deliveries.iter().rev().filter(|delivery| delivery.user_id.as_deref() == Some(user));
        let mut latest: Vec<Delivery> = about.take(at_most).cloned().collect();
        latest.reverse();
        latest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::tests::{new_webhook, options};
    use crate::simulate::{Mischief, Options};

    /// What is sent, and goes nowhere.
    fn simulator() -> Simulator {
        let webhooks = vec![new_webhook("http://127.0.0.1:1/")];
        let simulator = Simulator::start(Options { webhooks, ..options() }).unwrap();
        simulator.set_mischief(Mischief { drop: 1.0, ..Mischief::default() });
        simulator
    }

    fn kinds(simulator: &Simulator, user: &str) -> Vec<String> {
        simulator.deliveries_about(user, 100).into_iter().map(|delivery| delivery.kind).collect()
    }

    #[test]
    fn two_steps_tell_what_one_tells() {
        for (provider, error) in
            [("sss_ph", None), ("tin_ph", None), ("sss_ph", Some("MFA_TIMEOUT")), ("tin_ph", Some("X"))]
        {
            let simulator = simulator();
            let link = |user: &str| Link {
                provider_id: Some(provider.to_owned()),
                error_code: error.map(str::to_owned),
                ..Link::of_user(user)
            };
            if error.is_some() {
                simulator.fail_link(&link("one"))
            } else {
                simulator.link(&link("one"))
            };
            let begun = simulator.begin_link(&link("two"));
            let so_far = kinds(&simulator, "two");
            assert!(simulator.end_link(&begun.account_id, error));
            assert_eq!(kinds(&simulator, "two"), kinds(&simulator, "one"));
            assert!(kinds(&simulator, "one").starts_with(&so_far));
            assert_eq!(so_far.last().map(String::as_str), Some("TASK_STARTED"));
        }
        assert!(!simulator().end_link("a-nobody", None));
    }

    #[test]
    fn looks_back_at_the_latest_about_a_user() {
        let simulator = simulator();
        let user = simulator.life(None);
        simulator.create_user();
        let all = simulator.deliveries_about(&user, 1000);
        assert!(all.len() > 30 && all.iter().all(|delivery| delivery.user_id.as_ref() == Some(&user)));
        assert_eq!(simulator.deliveries_about(&user, 3), all[all.len() - 3..]);
    }
}
