package console

import (
	"net/http"
	"net/url"
	"slices"

	"creditstream/projections"
	"creditstream/services/api"
	"creditstream/services/rules"
)

// viewsPage is all views, by kind.
type viewsPage struct {
	Kinds []viewKind
	Tasks []task
	Q     string
	More  int // views that are not listed
}

type viewKind struct {
	Name  string
	What  string
	Bytes uint64
	Lag   uint64
	Views []projections.Status
}

var viewMeanings = map[string]string{
	"accounts":  "Accounts with their lots, idempotency keys and due dates: what every decision rests on.",
	"statement": "Each account's events and history: answers history, balances of the past, and why.",
	"usage":     "What was used, by account, meter and day.",
}

func (v *visit) views() error {
	var answer api.Views
	if err := v.ask(get("/v1/admin/views", nil), &answer); err != nil {
		return err
	}
	data := viewsPage{Tasks: v.tasks.of("rebuild"), Q: v.r.URL.Query().Get("tenant")}
	listed := 0
	for _, s := range answer.Views {
		if data.Q != "" && s.Tenant != data.Q {
			continue
		}
		i := slices.IndexFunc(data.Kinds, func(k viewKind) bool { return k.Name == s.View })
		if i < 0 {
			i = len(data.Kinds)
			data.Kinds = append(data.Kinds, viewKind{Name: s.View, What: viewMeanings[s.View]})
		}
		k := &data.Kinds[i]
		k.Bytes, k.Lag = k.Bytes+s.Bytes, max(k.Lag, s.Lag)
		if listed++; listed <= maxRows {
			k.Views = append(k.Views, s)
		} else {
			data.More++
		}
	}
	data.Tasks = data.Tasks[:min(len(data.Tasks), 5)]
	if v.isPart() {
		return v.write(http.StatusOK, "views-part", "", data)
	}
	return v.write(http.StatusOK, "views", "Projections", data)
}

// rebuildForm is a rebuild that is asked for.
type rebuildForm struct {
	View, Tenant, Shard string
	Accept              bool
	Fault               string
}

func rebuildOf(values url.Values) rebuildForm {
	return rebuildForm{
		View: values.Get("view"), Tenant: values.Get("tenant"), Shard: values.Get("shard"), Accept: values.Get("accept") == "true",
	}
}

func (v *visit) askRebuild() error {
	return v.dialog(http.StatusOK, "rebuild", "Rebuild a projection", rebuildOf(v.r.URL.Query()))
}

func (v *visit) rebuild() error {
	form, err := v.form(maxForm)
	if err != nil {
		return err
	}
	f := rebuildOf(form)
	if f.View == "" {
		return &rules.Refusal{Code: rules.CodeInvalid, Detail: "name the view to rebuild"}
	}
	t := &task{Kind: "rebuild", View: f.View, Tenant: f.Tenant, Shard: f.Shard, Accept: f.Accept}
	if err := v.run(t, "/v1/admin/views/"+url.PathEscape(f.View)+"/rebuild"); err != nil {
		f.Fault = err.Error()
		return v.dialog(http.StatusConflict, "rebuild", "Rebuild a projection", f)
	}
	return v.goTo(home + "/tasks/" + t.ID)
}

// verifyPage shows the verifications of this process, and starts one.
func (v *visit) verifyPage() error { return v.writeVerify(http.StatusOK, "") }

func (v *visit) writeVerify(status int, fault string) error {
	return v.write(status, "verify", "Verify", map[string]any{"Tasks": v.tasks.of("verify"), "Fault": fault})
}

func (v *visit) verify() error {
	form, err := v.form(maxForm)
	if err != nil {
		return err
	}
	t := &task{Kind: "verify", Tenant: form.Get("tenant")}
	if err := v.run(t, "/v1/admin/verify"); err != nil {
		return v.writeVerify(http.StatusConflict, err.Error())
	}
	return v.goTo(home + "/tasks/" + t.ID)
}
