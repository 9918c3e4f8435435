package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"creditstream/services/rules"
)

// catalogCommand looks after what a tenant sells and charges.
func (a *app) catalogCommand() *cobra.Command {
	command := &cobra.Command{
		Use:     "catalog",
		Short:   "Check, compare, publish and show a tenant's plans, packs and prices",
		GroupID: groupSetUp,
	}
	command.AddCommand(a.catalogValidateCommand(), a.catalogDiffCommand(), a.catalogPublishCommand(), a.catalogShowCommand())
	return command
}

func (a *app) catalogValidateCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "validate FILE...",
		Short:   "Say everything that is wrong with a catalog file, line by line; needs no server",
		Example: "  credits catalog validate deploy/catalogs/*.yaml",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, files []string) error {
			type result struct {
				File     string   `json:"file"`
				Valid    bool     `json:"valid"`
				Problems []string `json:"problems,omitempty"`
			}
			allValid := true
			for _, file := range files {
				_, problems, err := readCatalog(file)
				if err != nil {
					return err
				}
				allValid = allValid && len(problems) == 0
				if a.output == "json" {
					if err := a.printValue(result{file, len(problems) == 0, problems}); err != nil {
						return err
					}
					continue
				}
				if len(problems) == 0 {
					fmt.Fprintf(a.stdout, "%s: valid\n", file)
				}
				for _, problem := range problems {
					fmt.Fprintf(a.stdout, "%s: %s\n", file, problem)
				}
			}
			if !allValid {
				return errReported
			}
			return nil
		},
	}
}

// readCatalog reads a catalog file; problems say what is wrong inside, err that it cannot be read.
func readCatalog(file string) (c *rules.Catalog, problems []string, err error) {
	source, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("read the catalog: %w", err)
	}
	c, err = rules.ParseCatalog(source)
	var faults *rules.CatalogError
	switch {
	case errors.As(err, &faults):
		for _, p := range faults.Problems {
			problems = append(problems, p.String())
		}
	case err != nil:
		problems = []string{err.Error()}
	}
	return c, problems, nil
}

// needValid reads a catalog file that has to be valid.
func needValid(file string) (*rules.Catalog, error) {
	c, problems, err := readCatalog(file)
	if err == nil && len(problems) > 0 {
		err = fmt.Errorf("%s is not a valid catalog:\n  %s", file, strings.Join(problems, "\n  "))
	}
	return c, err
}

func (a *app) catalogDiffCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "diff FILE [FILE]",
		Short: "Say in words what a file would change: in the tenant's catalog, or in another file",
		Example: `  credits catalog diff new-prices.yaml --tenant tecpet
  credits catalog diff old.yaml new.yaml`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, files []string) error {
			after, err := needValid(files[len(files)-1])
			if err != nil {
				return err
			}
			var before *rules.Catalog
			if len(files) == 2 {
				before, err = needValid(files[0])
			} else {
				before, err = a.publishedCatalog(cmd)
			}
			if err != nil {
				return err
			}
			lines := rules.Diff(before, after)
			if a.output == "json" {
				return a.printValue(map[string]any{"diff": append([]string{}, lines...), "equal": len(lines) == 0})
			}
			if len(lines) == 0 {
				lines = []string{"no difference"}
			}
			_, err = fmt.Fprintln(a.stdout, strings.Join(lines, "\n"))
			return err
		},
	}
}

// publishedCatalog is the tenant's catalog in force.
func (a *app) publishedCatalog(cmd *cobra.Command) (*rules.Catalog, error) {
	if a.tenant == "" && len(cmd.Flags().Args()) == 1 {
		a.tenant = tenantOfFile(cmd.Flags().Arg(0))
	}
	source, _, err := a.catalogSource(cmd)
	if err != nil {
		return nil, err
	}
	c, err := rules.ParseCatalog([]byte(source))
	if err != nil {
		return nil, fmt.Errorf("read the published catalog of %s: %w", a.tenant, err)
	}
	return c, nil
}

// catalogSource is the text of the tenant's catalog in force, and the whole answer.
func (a *app) catalogSource(cmd *cobra.Command) (source string, raw json.RawMessage, err error) {
	if err := a.needTenant(); err != nil {
		return "", nil, err
	}
	var answer struct {
		Source string `json:"source"`
	}
	raw, err = a.client().send(cmd.Context(), request{method: http.MethodGet, path: tenantPath(a.tenant, "catalog")}, &answer)
	return answer.Source, raw, err
}

func (a *app) catalogShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "show",
		Short:   "Show the tenant's catalog in force, as it was published",
		Example: "  credits catalog show --tenant tecpet > tecpet.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			source, raw, err := a.catalogSource(cmd)
			if err != nil {
				return err
			}
			return a.show(raw, func(w io.Writer) { fmt.Fprintln(w, strings.TrimRight(source, "\n")) })
		},
	}
}

func (a *app) catalogPublishCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "publish FILE",
		Short: "Publish a new version of a tenant's catalog and say what it changes",
		Long: `Publish a new version of a tenant's catalog and say what it changes. Without --tenant the
tenant is the one that the file is named after.`,
		Example: "  credits catalog publish deploy/catalogs/tecpet.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if a.tenant == "" {
				a.tenant = tenantOfFile(args[0])
			}
			if _, err := needValid(args[0]); err != nil {
				return err
			}
			source, err := os.ReadFile(args[0])
			if err != nil {
				return fmt.Errorf("read the catalog: %w", err)
			}
			var answer publication
			raw, err := a.client().send(cmd.Context(), request{
				method: http.MethodPut,
				path:   tenantPath(a.tenant, "catalog"),
				body:   source,
				media:  "application/yaml",
			}, &answer)
			if err != nil {
				return err
			}
			return a.show(raw, func(w io.Writer) {
				fmt.Fprintf(w, "%s: version %d is in force\n", a.tenant, answer.Version)
				for _, line := range answer.Diff {
					fmt.Fprintf(w, "  %s\n", line)
				}
			})
		},
	}
}

// publication answers a published catalog.
type publication struct {
	Version int64    `json:"version"`
	Diff    []string `json:"diff"`
}

// tenantOfFile is the tenant that a catalog file is named after.
func tenantOfFile(file string) string {
	name := filepath.Base(file)
	return strings.TrimSuffix(name, filepath.Ext(name))
}
