package console

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"creditstream/services/api"
	"creditstream/services/rules"
)

// act is a question before something is done to an account, and what was wrong with the answer to it.
type act struct {
	*accountPage
	Form  url.Values
	Fault string // about no field in particular
	Field string // the field that is wrong
	Why   string // what is wrong with it
	Lot   *api.Lot
	Line  *api.HistoryLine
}

// FaultOf is what is wrong with a field.
func (a *act) FaultOf(field string) string {
	if a.Field == field {
		return a.Why
	}
	return ""
}

// refused puts a refusal where it belongs: beside its field, or above the form. Other errors stay errors.
func (a *act) refused(err error, fields ...string) (status int, other error) {
	var r *refusal
	if !errors.As(err, &r) {
		return 0, err
	}
	a.Fault = r.Detail
	for _, field := range fields {
		if r.Field == field {
			a.Fault, a.Field, a.Why = "", field, r.Detail
		}
	}
	return r.Status, nil
}

func (v *visit) newAct() (*act, error) {
	p, err := v.openAccount("Balance")
	if err != nil {
		return nil, err
	}
	return &act{accountPage: p, Form: url.Values{"key": {newFormKey()}}}, nil
}

// sentAct is an act whose form was sent.
func (v *visit) sentAct() (*act, error) {
	form, err := v.form(maxForm)
	if err != nil {
		return nil, err
	}
	p, err := v.openAccount("Balance")
	if err != nil {
		return nil, err
	}
	return &act{accountPage: p, Form: form}, nil
}

func (v *visit) askGrant() error {
	a, err := v.newAct()
	if err != nil {
		return err
	}
	return v.dialog(http.StatusOK, "grant", "Grant credits", a)
}

// grantRequest is api.GrantRequest where absent, null and an instant are three ends of a lot.
type grantRequest struct {
	Pool    string `json:"pool"`
	Credits string `json:"credits"`
	Expires any    `json:"expires,omitempty"`
	Reason  string `json:"reason"`
	Kind    string `json:"kind,omitempty"`
}

// grant gives credits. The form's key makes one lot of it, however often the form is sent.
func (v *visit) grant() error {
	a, err := v.sentAct()
	if err != nil {
		return err
	}
	ask := grantRequest{Pool: a.Form.Get("pool"), Credits: a.Form.Get("credits"), Reason: a.Form.Get("reason"), Kind: a.Form.Get("kind")}
	switch a.Form.Get("ends") {
	case "never":
		ask.Expires = noEnd{}
	case "at":
		at, err := a.endOf(a.Form.Get("expires"))
		if err != nil {
			a.Field, a.Why = "expires", "choose the last day of these credits"
			return v.dialog(http.StatusUnprocessableEntity, "grant", "Grant credits", a)
		}
		ask.Expires = at.Format(time.RFC3339)
	}
	var done api.GrantAnswer
	if err := v.ask(post(v.ofAccount("grants"), keyed(a.Form), ask), &done); err != nil {
		status, err := a.refused(err, "pool", "credits", "reason", "kind", "expires")
		if err != nil {
			return err
		}
		return v.dialog(status, "grant", "Grant credits", a)
	}
	return v.goTo(a.Path() + "?done=granted#" + url.PathEscape("lot-"+done.Lot))
}

// endOf is the midnight that ends a day in the account's time zone.
func (a *act) endOf(lastDay string) (time.Time, error) {
	zone, err := time.LoadLocation(a.Timezone)
	if err != nil {
		zone = time.UTC
	}
	at, err := time.ParseInLocation(time.DateOnly, lastDay, zone)
	return at.AddDate(0, 0, 1), err
}

// noEnd is null, which is not the same as absent.
type noEnd struct{}

// MarshalJSON writes null.
func (noEnd) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

func (v *visit) askRevoke() error {
	a, err := v.newAct()
	if err != nil {
		return err
	}
	a.Form.Set("lot", v.r.URL.Query().Get("lot"))
	if err := v.findLot(a); err != nil {
		return err
	}
	return v.dialog(http.StatusOK, "revoke", "Revoke a lot", a)
}

// findLot finds the lot of the form among those of the account.
func (v *visit) findLot(a *act) error {
	cursor := url.Values{"limit": {"1000"}}
	for {
		var lots api.Lots
		if err := v.ask(get(v.ofAccount("lots"), cursor), &lots); err != nil {
			return err
		}
		for i := range lots.Lots {
			if lots.Lots[i].Lot == a.Form.Get("lot") {
				a.Lot = &lots.Lots[i]
				return nil
			}
		}
		if lots.Next == "" {
			return &rules.Refusal{Code: rules.CodeUnknownLot, Detail: "this account has no such lot that can still matter"}
		}
		cursor.Set("cursor", lots.Next)
	}
}

func (v *visit) revoke() error {
	a, err := v.sentAct()
	if err != nil {
		return err
	}
	ask := post(v.ofAccount("lots", a.Form.Get("lot"), "revoke"), keyed(a.Form), api.RevokeRequest{Reason: a.Form.Get("reason")})
	if err := v.ask(ask, nil); err != nil {
		status, err := a.refused(err, "reason")
		if err != nil {
			return err
		}
		if err := v.findLot(a); err != nil {
			return err
		}
		return v.dialog(status, "revoke", "Revoke a lot", a)
	}
	return v.goTo(a.Path() + "?done=revoked")
}

func (v *visit) askReverse() error {
	a, err := v.newAct()
	if err != nil {
		return err
	}
	query := v.r.URL.Query()
	for _, name := range [...]string{"usage", "meter", "quantity", "credits"} {
		a.Form.Set(name, query.Get(name))
	}
	return v.dialog(http.StatusOK, "reverse", "Reverse usage", a)
}

func (v *visit) reverse() error {
	a, err := v.sentAct()
	if err != nil {
		return err
	}
	ask := api.ReverseRequest{Reason: a.Form.Get("reason")}
	if text := a.Form.Get("units"); text != "" {
		if ask.Quantity, err = strconv.ParseInt(text, 10, 64); err != nil || ask.Quantity < 1 {
			a.Field, a.Why = "quantity", "a whole number from 1 is expected; empty is all that is left of it"
			return v.dialog(http.StatusUnprocessableEntity, "reverse", "Reverse usage", a)
		}
	}
	if err := v.ask(post(v.ofAccount("usage", a.Form.Get("usage"), "reverse"), keyed(a.Form), ask), nil); err != nil {
		status, err := a.refused(err, "quantity", "reason")
		if err != nil {
			return err
		}
		return v.dialog(status, "reverse", "Reverse usage", a)
	}
	return v.goTo(a.Path() + "/history?done=reversed")
}
