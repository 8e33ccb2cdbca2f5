package parbuckle_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	parbuckle "parbuckle.example/go"
)

// TestScenarios runs the table that all languages share: what goes wrong, and what is said about it. Its rows build on
// each other, so they run in their order.
func TestScenarios(t *testing.T) {
	registries := map[string]string{}
	for placeholder, variable := range map[string]string{
		"{anon}": "PARB_TEST_ANON", "{basic}": "PARB_TEST_BASIC", "{token}": "PARB_TEST_TOKEN",
	} {
		if registries[placeholder] = os.Getenv(variable); registries[placeholder] == "" {
			t.Skipf("%s is not set: eval \"$(tests/registries.sh start DIR)\" starts the registries", variable)
		}
	}
	table, err := os.ReadFile("../../tests/scenarios/errors.tsv")
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Split(strings.TrimRight(string(table), "\n"), "\n")[1:]
	if len(rows) == 0 {
		t.Fatal("the table is empty")
	}
	for n, line := range rows {
		for placeholder, address := range registries {
			line = strings.ReplaceAll(line, placeholder, address)
		}
		row := strings.Split(line, "\t")
		if len(row) != 9 {
			t.Fatalf("line %d has %d fields instead of 9", n+2, len(row))
		}
		for i, field := range row {
			if field == "-" {
				row[i] = ""
			}
		}
		t.Run(row[0], func(t *testing.T) {
			err := runScenario(t, row[1], row[2], row[3], row[4])
			if found := describe(err); found != describeRow(row) || !strings.Contains(subjectOf(err), row[8]) {
				t.Errorf("got %s subject %q\nin full: %v\nwant %s subject with %q", found, subjectOf(err), err, describeRow(row), row[8])
			}
		})
	}
}

func runScenario(t *testing.T, operation, reference, user, password string) error {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	keychain := parbuckle.AnonymousKeychain()
	if user != "" {
		registry, _, _ := strings.Cut(reference, "/")
		keychain = parbuckle.BasicKeychain(registry, user, password)
	}
	client, err := parbuckle.NewClient(parbuckle.WithKeychain(keychain), parbuckle.WithRetry(2, 10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close(ctx)
	switch operation {
	case "pull":
		_, err = client.Pull(ctx, reference)
	case "push":
		err = client.Push(ctx, reference, tiny(t))
	default:
		t.Fatalf("unknown operation %q", operation)
	}
	return err
}

// tiny is an image from scratch with one small layer.
func tiny(t *testing.T) *parbuckle.Image {
	t.Helper()
	layer, err := parbuckle.NewLayerBuilder().AddBytes("hello", 0o644, []byte("hello\n")).Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	image, err := parbuckle.Scratch().AddLayer(layer).SetPlatform("linux/amd64").Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func describe(err error) string {
	var failure *parbuckle.Error
	switch {
	case err == nil:
		return "OK 0 "
	case !errors.As(err, &failure):
		return fmt.Sprintf("%T", err)
	}
	return fmt.Sprintf("%v %d %s", failure.Code, failure.HTTPStatus, failure.RegistryCode)
}

func describeRow(row []string) string {
	status, err := strconv.Atoi(row[6])
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s %d %s", row[5], status, row[7])
}

func subjectOf(err error) string {
	var failure *parbuckle.Error
	if errors.As(err, &failure) {
		return failure.Subject
	}
	return ""
}
