package main

import "fmt"

// programme is one of the three programmes: how its customers of the trace look, and its page's
// promises in the order in which the demo's clock reaches them.
type programme struct {
	tenant string
	title  string
	star   string // the account whose history is shown

	settings map[string]any // of an account of the trace
	provide  func(s *scene, account string)

	yearBefore func(*scene) // 16 December 2022
	firstDay   func(*scene) // 16 November 2023, before the trace
	lastSecond func(*scene) // of the old cycle
	renewed    func(*scene) // the first instant of the new one
}

const managersCode = "482913"

func programmes() []programme {
	return []programme{tecpet(), adtech(), wanclouds()}
}

// tecpet: a monthly quota of AI services beside credits that customers buy.
func tecpet() programme {
	onAI := map[string]any{"plan": "ai", "approval": map[string]string{"pin": managersCode}}
	pack := func(name string) map[string]any {
		return map[string]any{"pack": name, "approval_code": managersCode}
	}
	return programme{
		tenant: "tecpet", title: "a monthly quota beside purchased credits", star: "bicho-bom",
		settings: onAI,
		provide:  func(s *scene, account string) { s.bought(account, pack("pack-200")) },
		yearBefore: func(s *scene) {
			s.open("bicho-bom", onAI)
			_, without := s.buy("bicho-bom", map[string]any{"pack": "pack-50"})
			_, wrong := s.buy("bicho-bom", map[string]any{"pack": "pack-50", "approval_code": "000000"})
			s.promise("T13", "buying needs the manager's code: missing and wrong ones are refused",
				without.code() == "approval_required" && wrong.code() == "approval_invalid", without, wrong)
			p, problem := s.buy("bicho-bom", pack("pack-50"))
			before := s.balance("bicho-bom").Remaining
			s.settle(p)
			after := s.balance("bicho-bom").Remaining
			s.promise("T15", "50 credits the moment the payment is confirmed, none before",
				problem == nil && before == "0" && after == "50", problem, before, after)
		},
		firstDay: func(s *scene) {
			quota := s.balance("bicho-bom").pool("ai_quota").Remaining
			s.promise("T5", "after eleven months without use the quota is 300 services, not 3,600", quota == "300", quota)
			s.used("bicho-bom", "ai_service", 298)
			kept := s.balance("bicho-bom").pool("purchased").Remaining
			s.promise("T18", "298 services leave the purchased credits untouched", kept == "50", kept)
			split, problem := s.use("bicho-bom", "ai_service", 5)
			s.promise("T7", "5 more services: 2 on the rest of the quota, 3 for a credit each",
				problem == nil && split.Cost == "3" && len(split.Draws) == 2, problem, split)
			sticker, problem := s.use("bicho-bom", "sticker", 1)
			s.promise("T2", "a sticker costs 1 credit", problem == nil && sticker.Cost == "1", problem, sticker)

			s.open("gato-preto", onAI)
			_, problem = s.use("gato-preto", "sticker", 1)
			s.promise("T6", "a sticker never draws on the quota: refused with 300 services left and no credits",
				problem.code() == "insufficient_credits", problem)
			s.used("gato-preto", "ai_service", 300)
			_, problem = s.use("gato-preto", "ai_service", 1)
			s.promise("T8", "quota and credits at 0: the AI pauses, and the refusal names the next renewal",
				problem.code() == "insufficient_credits" && problem.NextRenewal != "", problem)

			s.open("loja-sem-ia", map[string]any{"approval": map[string]string{"pin": managersCode}})
			s.bought("loja-sem-ia", pack("pack-50"))
			_, problem = s.use("loja-sem-ia", "sticker", 1)
			s.promise("T10", "a customer without AI buys and spends", problem == nil, problem)
		},
		lastSecond: func(s *scene) {
			left := s.balance("bicho-bom").pool("purchased").Remaining
			s.promise("T1", "a second before the pack is 12 months old, 46 of its credits are usable", left == "46", left)
		},
		renewed: func(s *scene) {
			pool := s.balance("bicho-bom").pool("purchased")
			s.promise("T1", "12 months after the purchase they are gone", pool.Remaining == "0", pool)
			_, problem := s.use("gato-preto", "ai_service", 1)
			s.promise("T8", "the renewal came: the AI answers again by itself", problem == nil, problem)
		},
	}
}

// adtech: a monthly Pro allowance, more only through an account executive.
func adtech() programme {
	onPro := map[string]any{"plan": "pro"}
	return programme{
		tenant: "adtech", title: "a monthly Pro allowance, more through an account executive", star: "moda-madrid",
		settings: onPro,
		provide: func(s *scene, account string) {
			s.must(s.person, request{method: "POST", path: s.at(account, "grants"), body: map[string]any{
				"pool": "extra", "credits": "100", "kind": "promotion", "reason": "winter campaign",
			}}, nil)
		},
		firstDay: func(s *scene) {
			s.open("moda-madrid", onPro)
			s.open("estudio", onPro)
			s.open("basico", map[string]any{"plan": "standard"})
			allowance := s.balance("moda-madrid").Remaining
			s.promise("P1", "Pro brings 2,500 credits", allowance == "2500", allowance)
			_, refused := s.use("basico", "dynamic_video", 1)
			s.promise("P2", "Standard has no AI features", refused.code() == "meter_not_in_plan", refused)
			video, _ := s.use("moda-madrid", "dynamic_video", 1)
			image, _ := s.use("moda-madrid", "custom_image", 1)
			feed, _ := s.use("moda-madrid", "feed_optimization", 101)
			s.promise("P10", "a dynamic video costs 1 credit", video.Cost == "1", video)
			s.promise("P11", "a custom image costs half of one: 1 credit per two", image.Cost == "0.5", image)
			s.promise("P12", "one field in 101 products costs 2.02: 1 credit per 50", feed.Cost == "2.02", feed)
			_, refused = s.buy("moda-madrid", map[string]any{"topup": money{"EUR", "10.00"}})
			s.promise("P14", "nobody buys here alone: the refusal names whom to ask",
				refused.code() == "plan_not_eligible" && refused.Contact != "", refused)

			s.used("estudio", "dynamic_video", 2500)
			_, refused = s.use("estudio", "dynamic_video", 1)
			s.promise("P13", "at 0 the features pause, and the refusal names the executive",
				refused.code() == "insufficient_credits" && refused.Contact != "", refused)
			sold := map[string]any{
				"pool": "extra", "credits": "500", "kind": "sold", "reason": "order 4711",
				"price": money{"EUR", "90.00"}, "invoice_ref": "2023-117",
			}
			refused = s.grant("moda-madrid", sold)
			toBasic := s.grant("basico", sold)
			s.promise("P7", "the executive sells 500 more, with price and invoice on record; not to Standard",
				refused == nil && toBasic.code() == "plan_not_eligible", refused, toBasic)
			s.used("moda-madrid", "feed_optimization", 2490*50)
			last, problem := s.use("moda-madrid", "dynamic_video", 10)
			s.promise("P15", "the allowance pays first, the extra credits pay the rest of 10 videos",
				problem == nil && len(last.Draws) == 2 && last.Draws[0].Pool == "allowance" && last.Draws[1].Amount == "3.52", last, problem)
			report := s.report("moda-madrid")
			used := s.balance("moda-madrid").Used
			s.promise("P9", "consumption by feature sums to what was consumed", report.Credits == used, report, used)
		},
		lastSecond: func(s *scene) {
			pool := s.balance("moda-madrid").pool("allowance")
			s.promise("P5", "the old allowance lasts through the day before the renewal, in Madrid", pool.Used == "2500", pool)
		},
		renewed: func(s *scene) {
			b := s.balance("moda-madrid")
			pool, extra := b.pool("allowance"), b.pool("extra")
			s.promise("P6", "midnight in Madrid: 2,500 again, nothing rolled over", pool.Total == "2500" && pool.Remaining == "2500", pool)
			s.promise("P15", "the extra credits stay", extra.Remaining == "496.48", extra)
		},
	}
}

// wanclouds: top-ups on a plan.
func wanclouds() programme {
	card := map[string]string{"provider": "sandbox", "reference": "tok_demo", "label": "Visa •••• 4242"}
	onPro := map[string]any{"plan": "pro", "payment_method": card}
	return programme{
		tenant: "wanclouds", title: "top-ups on a plan, charged to the saved card", star: "acme",
		settings: onPro,
		provide:  func(s *scene, account string) { s.bought(account, map[string]any{"pack": "usd-100"}) },
		firstDay: func(s *scene) {
			s.open("acme", onPro)
			s.open("hobby", map[string]any{"plan": "free", "payment_method": card})
			s.open("nova", map[string]any{"plan": "pro"})
			_, refused := s.buy("hobby", map[string]any{"pack": "usd-100"})
			s.promise("W1", "the Free plan cannot buy; the refusal says how to upgrade", refused.code() == "plan_not_eligible", refused)
			_, refused = s.buy("nova", map[string]any{"pack": "usd-100"})
			s.promise("W8", "no saved payment method, no purchase", refused.code() == "payment_method_required", refused)
			p, problem := s.buy("acme", map[string]any{"pack": "usd-100"})
			before := s.balance("acme").Remaining
			s.settle(p)
			after := s.balance("acme").Remaining
			s.promise("W2", "$100 is 8M credits", problem == nil && p.Credits == "8000000", problem, p)
			s.promise("W4", "they come when the payment succeeds, not before, on top of the plan's 10M",
				before == "10000000" && after == "18000000", before, after)
			custom := s.bought("acme", map[string]any{"topup": money{"USD", "12.34"}})
			s.promise("W3", "$12.34 is 987,200 credits: the same rate to the cent", custom.Credits == "987200", custom)
			spent, problem := s.use("acme", "assistant_token", 10_500_000)
			s.promise("W6", "a charge takes what is left of the plan, then top-ups",
				problem == nil && len(spent.Draws) > 1 && spent.Draws[0].Pool == "allowance" && spent.Draws[0].Amount == "10000000", spent, problem)
			b := s.balance("acme")
			s.promise("W9", fmt.Sprintf("the panel: Total %s − Used %s = Remaining %s", grouped(b.Total), grouped(b.Used), grouped(b.Remaining)),
				b.Total == "18987200" && b.Used == "10500000" && b.Remaining == "8487200", b)
		},
		lastSecond: func(s *scene) {
			left := s.balance("acme").pool("topup").Remaining
			s.promise("W7", "a second before the cycle ends, 8,487,200 topped-up credits are left", left == "8487200", left)
		},
		renewed: func(s *scene) {
			b := s.balance("acme")
			s.promise("W7", "they ended with the cycle", b.pool("topup").Remaining == "0", b.pool("topup"))
			s.promise("W12", "the plan's 10M are there again", b.Remaining == "10000000", b)
		},
	}
}

// report sums what an account used in its present cycle, by meter.
func (s *scene) report(account string) usageReport {
	var report usageReport
	s.must(s.client, request{method: "GET", path: s.at(account, "usage"), query: map[string][]string{"by": {"meter"}}}, &report)
	return report
}
