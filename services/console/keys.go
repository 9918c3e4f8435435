package console

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"creditstream/services/api"
	"creditstream/services/credentials"
)

// keysPage is all API keys; Made is the one that was made just now, with its secret.
type keysPage struct {
	Live, Ended []credentials.Key
	Made        *api.KeyAnswer
	Now         time.Time
	Own         string // the key that this session was opened with
}

func (v *visit) keys() error { return v.writeKeys(nil) }

func (v *visit) writeKeys(made *api.KeyAnswer) error {
	var list api.Keys
	if err := v.ask(get("/v1/admin/keys", nil), &list); err != nil {
		return err
	}
	data := keysPage{Made: made, Now: v.cfg.Accounts.Clock().Now(), Own: v.who.KeyID}
	for _, k := range list.Keys {
		if k.Live(data.Now) {
			data.Live = append(data.Live, k)
		} else {
			data.Ended = append(data.Ended, k)
		}
	}
	return v.write(http.StatusOK, "keys", "API keys", data)
}

// keyForm is a key that is asked for.
type keyForm struct {
	Form   url.Values
	Scopes []scopeChoice
	Fault  string
	Field  string
	Why    string
}

type scopeChoice struct {
	Name, Meaning string
	On            bool
}

var scopeMeanings = [...]scopeChoice{
	{Name: "usage", Meaning: "check, charge, hold and reverse usage"},
	{Name: "read", Meaning: "balances, history, journal"},
	{Name: "purchase", Meaning: "buy and confirm purchases"},
	{Name: "grant", Meaning: "grant and revoke credits (a person)"},
	{Name: "catalog", Meaning: "publish catalogs"},
	{Name: "admin", Meaning: "open accounts; of the operator: tenants, keys, projections"},
}

// FaultOf is what is wrong with a field.
func (f *keyForm) FaultOf(field string) string {
	if f.Field == field {
		return f.Why
	}
	return ""
}

func newKeyForm(form url.Values) *keyForm {
	f := &keyForm{Form: form}
	for _, choice := range scopeMeanings {
		for _, chosen := range form["scopes"] {
			choice.On = choice.On || chosen == choice.Name
		}
		f.Scopes = append(f.Scopes, choice)
	}
	return f
}

func (v *visit) newKey() error {
	form := url.Values{"scopes": {"read"}, "key": {newFormKey()}}
	return v.dialog(http.StatusOK, "key-new", "New API key", newKeyForm(form))
}

// createKey makes a key. Its secret is in this one answer; a form that is sent twice makes one key.
func (v *visit) createKey() error {
	form, err := v.form(maxForm)
	if err != nil {
		return err
	}
	f := newKeyForm(form)
	if !v.forms.first(keyed(form)) {
		f.Fault = "This form was sent before: the list has the key that it made. Open a new form for another one."
		return v.dialog(http.StatusConflict, "key-new", "New API key", f)
	}
	ask := api.KeyRequest{
		Tenant: form.Get("tenant"), Actor: form.Get("actor"), Person: form.Get("person") != "", Scopes: form["scopes"], Name: form.Get("name"),
	}
	if text := form.Get("expires"); text != "" {
		at, err := time.Parse(time.DateOnly, text)
		if err != nil {
			f.Field, f.Why = "expires", "choose a day, or none"
			v.forms.forget(keyed(form))
			return v.dialog(http.StatusUnprocessableEntity, "key-new", "New API key", f)
		}
		at = at.AddDate(0, 0, 1)
		ask.Expires = &at
	}
	var made api.KeyAnswer
	if err := v.ask(post("/v1/admin/keys", "", ask), &made); err != nil {
		v.forms.forget(keyed(form))
		var refused *refusal
		if !errors.As(err, &refused) {
			return err
		}
		switch f.Field, f.Why = refused.Field, refused.Detail; f.Field {
		case "actor", "scopes", "name", "expires", "tenant":
		default:
			f.Fault = refused.Detail
		}
		return v.dialog(refused.Status, "key-new", "New API key", f)
	}
	if v.isPart() {
		return v.dialog(http.StatusOK, "key-made", "New API key", made)
	}
	return v.writeKeys(&made)
}

func (v *visit) askDeleteKey() error {
	key, ok := v.cfg.Credentials.Lookup(v.r.URL.Query().Get("id"))
	if !ok {
		return credentials.ErrUnknownKey
	}
	return v.dialog(http.StatusOK, "key-delete", "Delete a key", map[string]any{"Key": key, "Own": key.ID == v.who.KeyID})
}

func (v *visit) deleteKey() error {
	form, err := v.form(maxForm)
	if err != nil {
		return err
	}
	ask := question{method: http.MethodDelete, path: "/v1/admin/keys", query: url.Values{"id": {form.Get("id")}}}
	if err := v.ask(ask, nil); err != nil {
		return err
	}
	return v.goTo(home + "/keys")
}
