package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

// buyCommand requests a purchase and, on request, has it paid.
func (a *app) buyCommand() *cobra.Command {
	var id, pack, topup, code, settle string
	var confirm, list bool
	command := &cobra.Command{
		Use:   "buy ACCOUNT (--pack PACK | --amount \"USD 25.00\")",
		Short: "Buy a pack, or credits for an amount of money",
		Long: `Buy a pack, or credits for an amount of money. The credits come when the payment is confirmed:
by the provider; by charging the account's saved payment method (--confirm); or by hand, on a
server whose sandbox provider is open (--sandbox succeed, --sandbox fail).`,
		Example: `  credits buy acct-1 --tenant tecpet --list
  credits buy acct-1 --tenant tecpet --pack pack-50 --code 482913 --sandbox succeed
  credits buy acct-1 --tenant wanclouds --amount "USD 25.00" --confirm`,
		GroupID: groupSpend,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.needTenant(); err != nil {
				return err
			}
			ctx, account := cmd.Context(), args[0]
			if list {
				return a.listPacks(ctx, account)
			}
			body, err := purchaseBody(pack, topup, code)
			if err != nil {
				return err
			}
			var p purchase
			raw, err := a.client().send(ctx, request{
				method: http.MethodPost,
				path:   tenantPath(a.tenant, "accounts", account, "purchases"),
				body:   body,
				id:     keyOr(id),
			}, &p)
			if err != nil {
				return err
			}
			if confirm || settle != "" {
				if raw, err = a.pay(ctx, account, p.Purchase, settle); err != nil {
					return fmt.Errorf("purchase %s: %w", p.Purchase, err)
				}
				if err := json.Unmarshal(raw, &p); err != nil {
					return fmt.Errorf("decode purchase %s: %w", p.Purchase, err)
				}
			}
			return a.show(raw, func(w io.Writer) { printPurchase(w, p) })
		},
	}
	flags := command.Flags()
	idempotencyFlag(command, &id)
	flags.StringVar(&pack, "pack", "", "a `pack` of the catalog")
	flags.StringVar(&topup, "amount", "", "currency and amount of `money`, such as \"USD 25.00\"")
	flags.StringVar(&code, "code", "", "the manager's `code`, where the tenant asks for one")
	flags.BoolVar(&confirm, "confirm", false, "charge the account's saved payment method now")
	flags.StringVar(&settle, "sandbox", "", "settle it by hand: succeed or fail")
	flags.BoolVar(&list, "list", false, "only list what the account may buy")
	command.MarkFlagsMutuallyExclusive("pack", "amount", "list")
	command.MarkFlagsOneRequired("pack", "amount", "list")
	command.MarkFlagsMutuallyExclusive("confirm", "sandbox")
	command.PreRunE = func(*cobra.Command, []string) error {
		if settle != "" && settle != "succeed" && settle != "fail" {
			return wrongUse("--sandbox %s: choose succeed or fail", settle)
		}
		return nil
	}
	return command
}

// purchaseBody is what a purchase asks for.
func purchaseBody(pack, topup, code string) (map[string]any, error) {
	body := map[string]any{}
	setIf(body, "pack", pack)
	setIf(body, "approval_code", code)
	if topup != "" {
		currency, amount, found := strings.Cut(strings.TrimSpace(topup), " ")
		if !found {
			return nil, wrongUse("--amount %q: write the currency and the amount, such as \"USD 25.00\"", topup)
		}
		body["topup"] = money{strings.ToUpper(currency), strings.TrimSpace(amount)}
	}
	return body, nil
}

// pay has a purchase paid: from the saved method, or by hand in the sandbox. It returns the
// purchase as it is then.
func (a *app) pay(ctx context.Context, account, id, sandbox string) (json.RawMessage, error) {
	path := tenantPath(a.tenant, "accounts", account, "purchases", id, "confirm")
	if sandbox != "" {
		path = apiPath("tenants", a.tenant, "payments", "sandbox", id, sandbox)
	}
	if _, err := a.client().send(ctx, request{method: http.MethodPost, path: path, id: keyOr("")}, nil); err != nil {
		return nil, err
	}
	return a.client().send(ctx, request{
		method: http.MethodGet,
		path:   tenantPath(a.tenant, "accounts", account, "purchases", id),
	}, nil)
}

func printPurchase(w io.Writer, p purchase) {
	fmt.Fprintf(w, "purchase %s: %s\n", p.Purchase, strings.ReplaceAll(p.Status, "_", " "))
	fmt.Fprintf(w, "%s credits for %s %s\n", grouped(p.Credits), p.Price.Currency, p.Price.Amount)
	if p.Status == "processing" {
		fmt.Fprintln(w, "they are there when the payment is confirmed: credits history shows it")
	}
	if p.Status == "awaiting_payment" {
		fmt.Fprintf(w, "to be paid by %s\n", moment(p.PaysUntil))
		if p.CheckoutURL != "" {
			fmt.Fprintf(w, "pay here: %s\n", p.CheckoutURL)
		}
	}
}

// listPacks prints what an account may buy.
func (a *app) listPacks(ctx context.Context, account string) error {
	var offer struct {
		Packs []struct {
			Pack    string `json:"pack"`
			Name    string `json:"name"`
			Price   money  `json:"price"`
			Credits string `json:"credits"`
		} `json:"packs"`
	}
	raw, err := a.client().send(ctx, request{
		method: http.MethodGet,
		path:   tenantPath(a.tenant, "packs"),
		query:  map[string][]string{"account": {account}},
	}, &offer)
	if err != nil {
		return err
	}
	return a.show(raw, func(w io.Writer) {
		g := newGrid("Pack", "Name", ">Credits", ">Price")
		for _, p := range offer.Packs {
			g.row(p.Pack, p.Name, grouped(p.Credits), p.Price.Currency+" "+grouped(p.Price.Amount))
		}
		g.print(w)
	})
}
