package credit

// kinds.go closes the set: one line a fact.

func (*AccountOpened) Kind() string       { return "AccountOpened" }
func (*AccountChanged) Kind() string      { return "AccountChanged" }
func (*AccountClosed) Kind() string       { return "AccountClosed" }
func (*AccountReopened) Kind() string     { return "AccountReopened" }
func (*PlanChanged) Kind() string         { return "PlanChanged" }
func (*PlanChangeScheduled) Kind() string { return "PlanChangeScheduled" }
func (*CycleRenewed) Kind() string        { return "CycleRenewed" }
func (*CreditGranted) Kind() string       { return "CreditGranted" }
func (*PurchaseRequested) Kind() string   { return "PurchaseRequested" }
func (*PurchaseApproved) Kind() string    { return "PurchaseApproved" }
func (*PurchaseUpdated) Kind() string     { return "PurchaseUpdated" }
func (*PurchaseFailed) Kind() string      { return "PurchaseFailed" }
func (*PurchaseExpired) Kind() string     { return "PurchaseExpired" }
func (*CreditPurchased) Kind() string     { return "CreditPurchased" }
func (*PaymentMismatched) Kind() string   { return "PaymentMismatched" }
func (*PurchaseRefunded) Kind() string    { return "PurchaseRefunded" }
func (*GrantRevoked) Kind() string        { return "GrantRevoked" }
func (*UsageRecorded) Kind() string       { return "UsageRecorded" }
func (*UsageDenied) Kind() string         { return "UsageDenied" }
func (*UsageReversed) Kind() string       { return "UsageReversed" }
func (*DebtRepaid) Kind() string          { return "DebtRepaid" }
func (*HoldPlaced) Kind() string          { return "HoldPlaced" }
func (*HoldCaptured) Kind() string        { return "HoldCaptured" }
func (*HoldReleased) Kind() string        { return "HoldReleased" }
func (*HoldLapsed) Kind() string          { return "HoldLapsed" }
func (*CreditExpired) Kind() string       { return "CreditExpired" }
func (*CreditRolledOver) Kind() string    { return "CreditRolledOver" }
func (*BalanceLow) Kind() string          { return "BalanceLow" }
func (*BalanceExhausted) Kind() string    { return "BalanceExhausted" }
func (*CreditExpiringSoon) Kind() string  { return "CreditExpiringSoon" }
func (*NothingChanged) Kind() string      { return "NothingChanged" }
func (*CatalogPublished) Kind() string    { return "CatalogPublished" }
func (*PersonalErased) Kind() string      { return "PersonalErased" }

func (*AccountOpened) event()       {}
func (*AccountChanged) event()      {}
func (*AccountClosed) event()       {}
func (*AccountReopened) event()     {}
func (*PlanChanged) event()         {}
func (*PlanChangeScheduled) event() {}
func (*CycleRenewed) event()        {}
func (*CreditGranted) event()       {}
func (*PurchaseRequested) event()   {}
func (*PurchaseApproved) event()    {}
func (*PurchaseUpdated) event()     {}
func (*PurchaseFailed) event()      {}
func (*PurchaseExpired) event()     {}
func (*CreditPurchased) event()     {}
func (*PaymentMismatched) event()   {}
func (*PurchaseRefunded) event()    {}
func (*GrantRevoked) event()        {}
func (*UsageRecorded) event()       {}
func (*UsageDenied) event()         {}
func (*UsageReversed) event()       {}
func (*DebtRepaid) event()          {}
func (*HoldPlaced) event()          {}
func (*HoldCaptured) event()        {}
func (*HoldReleased) event()        {}
func (*HoldLapsed) event()          {}
func (*CreditExpired) event()       {}
func (*CreditRolledOver) event()    {}
func (*BalanceLow) event()          {}
func (*BalanceExhausted) event()    {}
func (*CreditExpiringSoon) event()  {}
func (*NothingChanged) event()      {}
func (*CatalogPublished) event()    {}
func (*PersonalErased) event()      {}

// New returns an empty event of the kind, or nil for a kind that this version does not know.
func New(kind string) Event {
	switch kind {
	case "AccountOpened":
		return new(AccountOpened)
	case "AccountChanged":
		return new(AccountChanged)
	case "AccountClosed":
		return new(AccountClosed)
	case "AccountReopened":
		return new(AccountReopened)
	case "PlanChanged":
		return new(PlanChanged)
	case "PlanChangeScheduled":
		return new(PlanChangeScheduled)
	case "CycleRenewed":
		return new(CycleRenewed)
	case "CreditGranted":
		return new(CreditGranted)
	case "PurchaseRequested":
		return new(PurchaseRequested)
	case "PurchaseApproved":
		return new(PurchaseApproved)
	case "PurchaseUpdated":
		return new(PurchaseUpdated)
	case "PurchaseFailed":
		return new(PurchaseFailed)
	case "PurchaseExpired":
		return new(PurchaseExpired)
	case "CreditPurchased":
		return new(CreditPurchased)
	case "PaymentMismatched":
		return new(PaymentMismatched)
	case "PurchaseRefunded":
		return new(PurchaseRefunded)
	case "GrantRevoked":
		return new(GrantRevoked)
	case "UsageRecorded":
		return new(UsageRecorded)
	case "UsageDenied":
		return new(UsageDenied)
	case "UsageReversed":
		return new(UsageReversed)
	case "DebtRepaid":
		return new(DebtRepaid)
	case "HoldPlaced":
		return new(HoldPlaced)
	case "HoldCaptured":
		return new(HoldCaptured)
	case "HoldReleased":
		return new(HoldReleased)
	case "HoldLapsed":
		return new(HoldLapsed)
	case "CreditExpired":
		return new(CreditExpired)
	case "CreditRolledOver":
		return new(CreditRolledOver)
	case "BalanceLow":
		return new(BalanceLow)
	case "BalanceExhausted":
		return new(BalanceExhausted)
	case "CreditExpiringSoon":
		return new(CreditExpiringSoon)
	case "NothingChanged":
		return new(NothingChanged)
	case "CatalogPublished":
		return new(CatalogPublished)
	case "PersonalErased":
		return new(PersonalErased)
	}
	return nil
}

// Kinds lists the names of all facts, in the order of event.go.
func Kinds() []string {
	return []string{
		"AccountOpened",
		"AccountChanged",
		"AccountClosed",
		"AccountReopened",
		"PlanChanged",
		"PlanChangeScheduled",
		"CycleRenewed",
		"CreditGranted",
		"PurchaseRequested",
		"PurchaseApproved",
		"PurchaseUpdated",
		"PurchaseFailed",
		"PurchaseExpired",
		"CreditPurchased",
		"PaymentMismatched",
		"PurchaseRefunded",
		"GrantRevoked",
		"UsageRecorded",
		"UsageDenied",
		"UsageReversed",
		"DebtRepaid",
		"HoldPlaced",
		"HoldCaptured",
		"HoldReleased",
		"HoldLapsed",
		"CreditExpired",
		"CreditRolledOver",
		"BalanceLow",
		"BalanceExhausted",
		"CreditExpiringSoon",
		"NothingChanged",
		"CatalogPublished",
		"PersonalErased",
	}
}
